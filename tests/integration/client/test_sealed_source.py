"""Samples that are kept in the store alone: pool, training, erasure of them."""

import io
import wave
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.folders import open_folder
from tests.support.client.world import CLASSES, TASK, World, first_cut

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import NoSamplesError, ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.records.label_queue import ItemState
from fedask.client.records.payload import StoreQuota
from fedask.client.records.pool import Pool
from fedask.client.site.deployment import open_device
from fedask.client.store.keys.key_file import (
    KeyFile,
    Passphrase,
    PassphraseFile,
    Scrypt,
)
from fedask.client.store.sqlite.payloads import SqlitePayloads
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, StoreError
from fedask.common.ids import Uid, bytes_uid
from fedask.common.settings import build

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHAPE = TASK.input_shape


def npy(number: int) -> bytes:
    rng = np.random.default_rng(number)
    file = io.BytesIO()
    np.save(file, rng.random(SHAPE or (2,)).astype(np.float32))
    return file.getvalue()


def wav(number: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(np.full(8, number, "<i2").tobytes())
    return file.getvalue()


def put(store: SqliteStore, suffix: str, *contents: bytes) -> list[Uid]:
    for content in contents:
        store.payloads.put(bytes_uid(content), suffix, content)
    return [bytes_uid(content) for content in contents]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "device.db")) as made:
        yield made


def look(store: SqliteStore) -> ScanContext:
    return ScanContext(
        index=Index(None, store.index_key), now=NOON, payloads=store.payloads
    )


def options(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"data": "device.db", "kind": "sealed", **more}


@pytest.mark.parametrize("kind", ["images", "sounds", "documents"])
def test_payloads_are_read_as_the_files_that_they_were(
    store: SqliteStore, tmp_path: Path, kind: str
) -> None:
    suffix, contents, more = {
        "images": (".npy", [npy(n) for n in range(4)], {}),
        "sounds": (".wav", [wav(n) for n in range(4)], {"frames": 6}),
        "documents": (".txt", [b"one", b"two", "drei \u00df".encode()], {}),
    }[kind]
    uids = put(store, suffix, *contents)
    folder = tmp_path / "data"
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number}{suffix}").write_bytes(content)

    sealed = Pool(open_source(options(**more), look(store)))
    files = Pool(open_source({"data": str(folder), "kind": kind, **more}, look(store)))

    assert sorted(sealed.uids.tolist()) == sorted(uids)
    assert np.array_equal(sealed.load(uids), files.load(uids))
    assert sealed.load([]).shape[0] == 0


def test_a_payload_is_decoded_once_until_it_is_used(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, ".npy", npy(1), npy(2))
    here, opened = look(store), []
    real = SqlitePayloads.content

    def watched(self: SqlitePayloads, uid: Uid) -> bytes:
        opened.append(uid)
        return real(self, uid)

    monkeypatch.setattr(SqlitePayloads, "content", watched)

    for _ in range(2):
        assert len(open_source(options(), here).uids()) == 2

    assert len(opened) == 2


def test_what_does_not_fit_is_set_aside_and_said(store: SqliteStore) -> None:
    good = put(store, ".npy", npy(1), npy(2))
    broken = put(store, ".npy", b"no array")
    text = put(store, ".txt", b"words")
    file = io.BytesIO()
    np.save(file, np.zeros((1, 1, 1, 3), np.float32))
    other = put(store, ".npy", file.getvalue())

    source = open_source(options(), look(store))

    assert sorted(source.uids().tolist()) == sorted(good)
    reasons = {each.name: each.reason for each in source.broken()}
    assert reasons.keys() == {*broken, *text, *other}
    assert "another kind" in reasons[text[0]]
    assert "as most others are" in reasons[other[0]]


def test_without_payloads_or_store_it_is_said_why(store: SqliteStore) -> None:
    with pytest.raises(NoSamplesError, match="no samples in the store"):
        open_source(options(), look(store))
    put(store, ".bin", b"anything")
    with pytest.raises(NoSamplesError, match="none of 1 payloads"):
        open_source(options(), look(store))
    put(store, ".npy", b"no array")
    with pytest.raises(NoSamplesError, match="2 payloads were set aside"):
        open_source(options(), look(store))
    with pytest.raises(ConfigError, match="unknown key 'frames'"):
        open_source(options(frames=3), look(store))
    with pytest.raises(ConfigError, match="there is none here"):
        open_source(options(), ScanContext(index=Index(), now=NOON))


class Ward:
    """A deployed device whose samples are in its store alone."""

    def __init__(self, folder: Path, count: int, **seal: Any) -> None:  # noqa: ANN401
        self.folder = folder
        data = {"data": "", "kind": "sealed"}
        self.settings = {"data": data, "labels": "labels.csv", "seal": seal}
        self.contents = [npy(number) for number in range(count)]
        with self.open() as store:
            self.uids = put(store, ".npy", *self.contents)
        rows = [f"{uid},{CLASSES[n % 2]}\n" for n, uid in enumerate(self.uids)]
        (folder / "labels.csv").write_text("uid,label\n" + "".join(rows))
        self.world = World()

    def open(self) -> "closing[SqliteStore]":
        return closing(open_folder(self.folder, self.settings).store)

    def round(self, cycle: int, step: int, **ask: Any) -> Any:  # noqa: ANN401
        folder = open_folder(self.folder, self.settings)
        with folder, open_device(folder, TASK) as device:
            self.world.device = device
            return self.world.round(cycle, step, **ask)


def test_a_device_asks_and_trains_from_its_store_alone(tmp_path: Path) -> None:
    ward = Ward(tmp_path, 12)

    ward.round(1, 0, cut=first_cut())
    ward.round(2, 0)

    with ward.open() as store:
        trained = [i.uid for i in store.queue.items() if i.state is ItemState.TRAINED]
        assert len(trained) == 2
        cycles = store.erasure.forget([*trained, ward.uids[0]]).cycles
    assert {cycles[uid] for uid in trained} == {(1, 2)}


def test_an_erased_sample_is_in_no_pool_though_its_file_is_there(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    contents = [npy(number) for number in range(3)]
    for number, content in enumerate(contents):
        (data / f"{number}.npy").write_bytes(content)
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        store.erasure.forget([bytes_uid(contents[1])])

    folder = open_folder(tmp_path, {"data": {"data": "data"}})
    with folder, open_device(folder, TASK) as device:
        uids = set(device.pool.uids.tolist())

    assert uids == {bytes_uid(contents[0]), bytes_uid(contents[2])}


def test_what_was_trained_on_may_leave_for_new_samples(tmp_path: Path) -> None:
    size = len(npy(0))
    ward = Ward(tmp_path, 6, quota_bytes=6 * size)
    ward.round(1, 0, cut=first_cut())
    with ward.open() as store:
        trained = {i.uid for i in store.queue.items() if i.state is ItemState.TRAINED}
        gone = set()
        for number in (90, 91):
            gone.update(store.payloads.put(bytes_uid(npy(number)), ".npy", npy(number)))
        assert gone == trained

    ward.round(1, 1)  # there is nothing left to train on, and that is no error

    with ward.open() as store:
        assert {i.uid for i in store.queue.items() if i.label is not None} == trained
        assert store.annotations.progress(NOON).classes


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kee": "x"}, "unknown key 'kee' .*'key'"),
        ({"quota_bytes": "9"}, "must be of type int"),
        ({"quota_bytes": 0}, "at least 1 byte"),
        ({"keyring": "a", "key": "b"}, "instead of"),
        ({"passphrase": 1234}, "^passphrase must be a path, of type str$"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(StoreSettings, table)


def test_the_owner_says_where_the_key_is(tmp_path: Path) -> None:
    key, word = tmp_path / "usb.key", tmp_path / "word"
    plain = StoreSettings(key=key)
    with closing(plain.open(tmp_path / "one.db", SystemClock(), "test")) as store:
        store.queue.add(1, [Uid("a" * 32)])
    assert len(KeyFile(key).read()) == 1
    assert not (tmp_path / "one.db.key").exists()

    word.write_text("correct horse\n")
    word.chmod(0o600)
    settings = StoreSettings(key=tmp_path / "two.key", passphrase=word)
    sealed = PassphraseFile(
        tmp_path / "two.key", Passphrase(b"correct horse"), Scrypt(n=1024)
    )
    with closing(SqliteStore(tmp_path / "two.db", sealed, StoreQuota())) as store:
        store.queue.add(1, [Uid("a" * 32)])
    opened = settings.open(tmp_path / "two.db", SystemClock(), "test")
    with closing(opened) as store:
        assert len(store.queue.items()) == 1
    word.write_text("wrong horse battery\n")
    with pytest.raises(StoreError, match="passphrase does not open"):
        settings.open(tmp_path / "two.db", SystemClock(), "test")
