"""Plants secrets in a device's files and looks for them when the key is absent."""

import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.canary import forms_of, forms_of_numbers, found_in
from tests.support.client.clock import FakeClock

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import UNSURE, Label
from fedask.client.records.device_store import Waiting
from fedask.client.records.label_queue import ItemState
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.query_outcome import QueryOutcome, QueryRecord
from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.keys.row_cipher import RowCipher
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import ModelVersion, Uid, bytes_uid
from fedask.common.seal import Place, new_key

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLASSES = 1_000_000_000
LABEL = 0x1A2B3C4D % CLASSES  # four bytes that stand nowhere by chance
TEXT = "the patient complains of zebrafish-pyjamas in the left ear"
NAME = "mueller-heinz-1949-zwillinge.txt"
ANNOTATOR = "dr.hieronymus.bosch@ward-3"
KEY, TOKEN = "key-of-an-answer-7731", "token-of-a-lease-4417"
TRUTH = 0.1237694
NUMBERS = (3.14159274, 2.71828175, 1.41421354, 1.73205078)


def secrets() -> Iterator[tuple[str, bytes]]:
    for name, secret in (
        ("content", TEXT),
        ("file name", NAME),
        ("its stem", NAME.removesuffix(".txt")),
        ("annotator", ANNOTATOR),
        ("key", KEY),
        ("token", TOKEN),
        ("label", str(LABEL)),
    ):
        for form, data in forms_of(secret.encode()):
            yield f"{name}: {form}", data
    for form, data in forms_of_numbers(NUMBERS):
        yield f"content: {form}", data
    for form, data in forms_of_numbers([LABEL]):
        yield f"label: {form}", data
    yield "label: four bytes", LABEL.to_bytes(4, "big")
    yield "label: JSON", f": {LABEL}".encode()
    for form, data in forms_of_numbers([TRUTH]):
        yield f"truth: {form}", data


def lead_a_life(folder: Path, *, close: bool) -> list[object]:
    """Fill a store and its index with all that is secret; maybe leave them open."""
    data = folder / "data"
    data.mkdir()
    (data / NAME).write_text(TEXT)
    (data / f"broken-{NAME}").write_bytes(TEXT.encode() + b"\0")  # no text
    store = SqliteStore(folder / "device.db")
    index = Index(folder / "device.db.index", store.index_key)
    look = ScanContext(index=index, now=NOON, payloads=store.payloads)
    source = open_source({"data": str(data)}, look)
    text = Uid(str(source.uids()[0]))
    numbers = np.array(NUMBERS, dtype=np.float32)
    packed = zlib.compress(TEXT.encode())
    uids = [text, *(bytes_uid(each) for each in (numbers.tobytes(), packed))]
    for uid, suffix, content in zip(
        uids,
        (".txt", ".npy", ".gz"),
        (TEXT.encode(), numbers.tobytes(), packed),
        strict=True,
    ):
        store.payloads.put(uid, suffix, content)
    store.queue.add(1, uids)
    scores = np.array([0.5, 0.25, 0.125], dtype=np.float32)
    groups = np.full(3, LABEL)
    scored = Scored(np.array(uids), scores, groups)
    store.scores.put("v", scored, Waiting(scores=dict.fromkeys(uids, 0.5)))
    store.query_outcomes.put_asked(
        [QueryRecord(uid=text, cycle=1, experts="m", descriptors=(1.0,), levels=(0.5,))]
    )
    desk = Desk(
        store.annotations,
        FakeClock(NOON),
        DeskSettings(classes=CLASSES, rule="one"),
        tokens=lambda: TOKEN,
    )
    for number, lease in enumerate(desk.lease(ANNOTATOR, 2)):
        desk.submit(ANNOTATOR, lease.uid, lease.token, Label(LABEL), f"{KEY}-{number}")
    (last,) = desk.lease(ANNOTATOR, 1)
    desk.submit(ANNOTATOR, last.uid, last.token, UNSURE, f"{KEY}-last")
    store.query_outcomes.put_outcomes(
        {text: QueryOutcome(cycle=2, truth=TRUTH, hit=True)}
    )
    store.queue.trained(dict.fromkeys(uids, LABEL))
    answers = dict.fromkeys(uids, LABEL)
    store.local_model.put(
        LocalModelRecord(base=ModelVersion("b"), answers=answers, at=NOON), {}
    )
    assert desk.progress(None).classes == {LABEL: 2}
    assert {item.state for item in store.queue.items()} >= {ItemState.TRAINED}
    if close:
        store.close()
        index.close()
        return []
    return [store, index]


def files_of(folder: Path) -> list[Path]:
    """All files but the owner's data and the key."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "data" and path.suffix != ".key"
    ]


def plant(folder: Path, *, close: bool = True) -> list[tuple[str, str]]:
    """Return what is found of the secrets."""
    opened = lead_a_life(folder, close=close)
    try:
        files = files_of(folder)
        assert len(files) == (2 if close else 4)  # with -wal and -shm
        return found_in(files, secrets())
    finally:
        for each in opened:
            each.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("close", [True, False])
def test_no_secret_is_in_any_file_of_a_device(
    tmp_path: Path, *, close: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))

    assert plant(tmp_path, close=close) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "secret"),
    [
        ("item", "label"),
        ("annotation", "annotator"),
        ("lease", "token"),
        ("query_record", "truth"),
        ("payload", "content"),
    ],
)
def test_the_search_finds_what_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, secret: str
) -> None:
    real = KeyVault.seal, KeyVault.unseal

    def bare(self: KeyVault, place: Place, content: bytes) -> bytes:
        sealed = real[0](self, place, content)
        return b"BARE" + content if place.table == table else sealed

    def unbare(self: KeyVault, place: Place, sealed: bytes) -> bytes:
        if sealed.startswith(b"BARE"):
            return sealed[4:]
        return real[1](self, place, sealed)

    monkeypatch.setattr(KeyVault, "seal", bare)
    monkeypatch.setattr(KeyVault, "unseal", unbare)

    found = plant(tmp_path)

    assert any(f"{secret}: " in form for _, form in found), found


def test_the_search_finds_names_that_are_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyVault, "name", lambda _, *parts: parts[-1].encode())
    monkeypatch.setattr(
        "fedask.client.data.sources.index.mark", lambda _, *parts: parts[-1].encode()
    )

    found = {form.partition(":")[0] for _, form in plant(tmp_path)}

    assert found >= {"annotator", "key", "file name"}


def test_the_search_finds_groups_that_are_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(_: RowCipher, scored: Scored) -> list[bytes]:
        groups = scored.groups.astype("<i4").tobytes()
        return [b"", b"", groups]

    monkeypatch.setattr(RowCipher, "seal_scores", bare)

    assert "label: numbers <1i" in {form for _, form in plant(tmp_path)}


def test_without_the_key_a_store_cannot_be_opened_and_is_not_changed(
    tmp_path: Path,
) -> None:
    lead_a_life(tmp_path, close=True)
    key = tmp_path / "device.db.key"
    hidden = key.read_bytes()
    key.unlink()
    before = {path: path.read_bytes() for path in files_of(tmp_path)}

    for content in (None, new_key().secret.hex().encode()):
        if content is not None:
            key.write_bytes(content)
            key.chmod(0o600)
        with pytest.raises(StoreError) as caught:
            SqliteStore(tmp_path / "device.db")
        said = str(caught.value)
        assert str(tmp_path / "device.db") in said
        assert str(key) in said
        assert "put the right one there" in said
        assert key.exists() == (content is not None)
        assert {path: path.read_bytes() for path in files_of(tmp_path)} == before

    key.write_bytes(hidden)
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        assert store.annotations.progress(NOON).classes == {LABEL: 2}
