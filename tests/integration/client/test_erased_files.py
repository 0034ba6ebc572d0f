"""Nothing of an erased sample is in any file, though others moved around it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.canary import forms_of, found_in
from tests.support.client.clock import FakeClock
from tests.support.client.places import INDEX_KEY

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Label
from fedask.client.records.device_store import Waiting
from fedask.client.records.erasure import Training
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.pool import Pool
from fedask.client.store.sqlite import connection
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import SealError
from fedask.common.grid import Scored
from fedask.common.ids import ModelVersion, Uid, bytes_uid
from fedask.common.seal import new_key

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANY, FEW = 400, 20  # samples in the queue, and of those the ones with all there is
UIDS = [bytes_uid(f"text {number}".encode()) for number in range(MANY)]
GONE = UIDS[7:FEW:4]


def fill(store: SqliteStore) -> None:
    store.queue.add(1, UIDS)
    scores = np.linspace(1, 0, MANY, dtype=np.float32)
    scored = Scored(np.array(UIDS), scores, np.zeros(MANY, np.int64))
    near = [(UIDS[i], UIDS[i + 1]) for i in range(MANY - 1)]
    store.scores.put("v", scored, Waiting(scores=dict.fromkeys(UIDS, 0.5), near=near))
    desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=MANY))
    for number, lease in enumerate(desk.lease("ann", MANY)):
        if lease.uid in UIDS[:FEW]:
            desk.submit("ann", lease.uid, lease.token, Label(number), f"{number}")
    for number, uid in enumerate(UIDS[:FEW]):
        store.payloads.put(uid, ".txt", f"text {number}".encode())
    store.queue.trained({}, Training(cycle=1, uids=frozenset(UIDS)))
    answers = {uid: number for number, uid in enumerate(UIDS[:FEW])}
    own = LocalModelRecord(base=ModelVersion("b"), answers=answers, at=NOON)
    store.local_model.put(own, {"weight": np.zeros(3, np.float32)})


def traces_of(store: SqliteStore, uids: list[Uid]) -> list[tuple[str, bytes]]:
    """Return all that could tell of a sample: its name, its key, what was sealed."""
    found = [form for uid in uids for form in forms_of(uid.encode())]
    found += [(f"bytes of {uid}", bytes.fromhex(uid)) for uid in uids]
    for query in (
        "SELECT wrapped FROM sample_key WHERE uid = ?",
        "SELECT label FROM item WHERE uid = ?",
        "SELECT content FROM annotation WHERE uid = ?",
        "SELECT content FROM lease WHERE uid = ?",
        "SELECT content FROM payload WHERE uid = ?",
    ):
        for uid in uids:
            blobs = store.connection.db.execute(query, (uid,)).fetchall()
            assert blobs, query
            found += [(f"{query} {uid}", blob) for (blob,) in blobs]
    return found


def files_of(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_file()]


def test_no_page_remembers_an_erased_sample(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        fill(store)
        traces = traces_of(store, GONE)
        assert {name for _, name in found_in(files_of(tmp_path), traces)} >= {
            name for name, _ in traces if name.startswith("SELECT")
        }

        assert store.erasure.forget(GONE).clean

        left = Training(cycle=1, uids=frozenset(UIDS) - frozenset(GONE))
        assert store.erasure.covers(left)
        assert not store.erasure.covers(Training(cycle=1, uids=frozenset(GONE[:1])))
        assert found_in(files_of(tmp_path), traces) == []
        assert len(store.queue.items()) == MANY - len(GONE)
    assert found_in(files_of(tmp_path), traces) == []


def test_beside_a_reader_it_is_said_that_pages_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device.db"
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 10)
    with closing(SqliteStore(path)) as store:
        fill(store)
        traces = traces_of(store, GONE)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM item").fetchone()

        assert not store.erasure.forget(GONE).clean

        assert not {item.uid for item in store.queue.items()} & set(GONE)
        other.execute("COMMIT")
        other.close()
    with closing(SqliteStore(path)):
        assert found_in(files_of(tmp_path), traces) == []


def test_a_row_that_is_put_back_from_a_copy_does_not_open(tmp_path: Path) -> None:
    """Somebody who kept the rows, but not the key of the sample, has nothing."""
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        fill(store)
        uid = GONE[0]
        row = store.connection.db.execute(
            "SELECT * FROM payload WHERE uid = ?", (uid,)
        ).fetchone()
        store.erasure.forget([uid])

        store.connection.db.execute(
            "INSERT INTO payload VALUES (?, ?, ?, ?, ?, ?)", row
        )

        with pytest.raises(SealError):
            store.payloads.content(uid)


@pytest.mark.parametrize(
    ("table", "column"),
    [("item", "label"), ("annotation", "content"), ("payload", "content")],
)
def test_rows_cannot_be_given_what_belongs_to_others(
    tmp_path: Path, table: str, column: str
) -> None:
    path = tmp_path / "device.db"
    with closing(SqliteStore(path)) as store:
        fill(store)
        one, two = GONE[:2]
        query = f"SELECT {column} FROM {table} WHERE uid = ?"  # noqa: S608
        (stolen,) = store.connection.db.execute(query, (one,)).fetchone()
        store.connection.db.execute("DROP TRIGGER annotation_is_final")
        change = f"UPDATE {table} SET {column} = ? WHERE uid = ?"  # noqa: S608
        store.connection.db.execute(change, (stolen, two))

    def read() -> None:
        with closing(SqliteStore(path)) as store:
            store.payloads.content(two)
            store.annotations.newest(MANY, None)
            store.queue.items()

    with pytest.raises(SealError):
        read()


def test_a_annotation_cannot_be_given_to_another_annotator(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        fill(store)
        store.connection.db.execute("DROP TRIGGER annotation_is_final")
        store.connection.db.execute(
            "UPDATE annotation SET control = 1 WHERE number = 1"
        )

        with pytest.raises(SealError):
            store.annotations.newest(MANY, None)


def test_the_length_of_what_was_said_tells_no_name(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        store.queue.add(1, UIDS[:2])
        desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=1000))
        for name, label in (("al", 1), ("annemarie.schwarzenbach", 999)):
            (lease,) = desk.lease(name, 1)
            desk.submit(name, lease.uid, lease.token, Label(label), "k")

        for query in (
            "content FROM annotation",
            "content FROM lease",
            "label FROM item",
        ):
            rows = store.connection.db.execute(f"SELECT {query}").fetchall()
            assert len({len(sealed) for (sealed,) in rows}) == 1
            assert len(rows) == 2


def test_an_index_forgets_a_sample_and_keeps_its_neighbours(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "many.csv").write_text("text\nfirst\nsecond\nthird\n")
    (data / "more.csv").write_text("text\nfourth\n")
    store = SqliteStore(tmp_path / "device.db")
    index = Index(tmp_path / "device.db.index", store.index_key)
    look = ScanContext(index=index, now=NOON)
    options = {"data": str(data), "kind": "texts"}
    pool = Pool(open_source(options, look))
    first, second, third, fourth = (Uid(uid) for uid in pool.uids.tolist())
    traces = [("uid", bytes.fromhex(uid)) for uid in (second, fourth)]
    index.flush()
    assert found_in(files_of(tmp_path), traces)

    index.erase([second, fourth])

    assert found_in(files_of(tmp_path), traces) == []
    (data / "more.csv").unlink()
    after = Pool(open_source(options, look))
    assert after.uids.tolist() == [first, third]
    assert after.load([third]).tolist() == ["third"]
    index.close()
    store.close()


@pytest.mark.parametrize("damage", ["another key", "damaged", "another version"])
def test_an_index_that_is_not_ours_is_made_anew(tmp_path: Path, damage: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.txt").write_text("first")
    path = tmp_path / "index"
    options = {"data": str(tmp_path / "data")}
    with closing(Index(path, INDEX_KEY)) as index:
        open_source(options, ScanContext(index=index, now=NOON))
    key = INDEX_KEY
    if damage == "another key":
        key = new_key()
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            if damage == "another version":
                db.execute("PRAGMA user_version = 99")
            else:
                db.execute("UPDATE lock SET sealed = x'00'")

    with closing(Index(path, key)) as index:
        assert index._db.execute("SELECT count(*) FROM file").fetchone() == (0,)
        source = open_source(options, ScanContext(index=index, now=NOON))
        assert source.load(np.arange(1)).tolist() == ["first"]
