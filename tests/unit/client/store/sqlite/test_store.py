import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.keyring import MemoryKeyring
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.label_queue import ItemState
from fedask.client.store.sqlite import connection as module
from fedask.client.store.sqlite.schema import SCHEMA_VERSION
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid
from fedask.common.seal import Key

A = Uid("a" * 32)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FULL = 2  # PRAGMA synchronous, https://sqlite.org/pragma.html#pragma_synchronous


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def write_database(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_an_answer_waits_for_the_disk(store: SqliteStore) -> None:
    assert pragma(store.connection.db, "synchronous") == FULL
    assert pragma(store.connection.db, "journal_mode") == "wal"
    assert pragma(store.connection.db, "busy_timeout") == module.BUSY_TIMEOUT_MS


def test_the_file_names_its_schema(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path)
    try:
        assert pragma(other, "user_version") == SCHEMA_VERSION
        assert pragma(other, "journal_mode") == "wal"
    finally:
        other.close()
    assert store.queue.items() == []


def test_everything_is_there_after_reopening(store: SqliteStore, path: Path) -> None:
    uids = [Uid(letter * 32) for letter in "abcde"]
    store.queue.add(4, uids)
    desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=3))
    desk.lease("ann", 1)
    store.queue.answer({uids[1]: 0})
    store.queue.move([uids[2]], ItemState.SKIPPED)
    store.queue.move([uids[3]], ItemState.EXPIRED)
    scored = Scored(
        np.array(uids), np.linspace(1, 0, 5, dtype=np.float32), np.arange(5)
    )
    store.scores.put("00ff", scored)
    before = store.queue.items()
    store.close()

    again = SqliteStore(path)
    try:
        assert again.queue.items() == before
        assert again.cuts.last_cycle() == 4
        kept = again.scores.last()
        assert kept is not None
        assert kept[1].scores.tolist() == scored.scores.tolist()
    finally:
        again.close()


def test_what_another_process_stores_is_seen_at_once(
    store: SqliteStore, path: Path
) -> None:
    store.queue.add(1, [A])
    assert store.queue.items()[0].state is ItemState.QUEUED  # kept from here on
    other = SqliteStore(path)

    other.queue.answer({A: 2})
    assert store.queue.items() == other.queue.items()
    other.queue.add(7, [])

    assert store.cuts.last_cycle() == 7
    other.close()


def test_a_keyring_that_refuses_leaves_a_file_without_tables(path: Path) -> None:
    class Broken(MemoryKeyring):
        @override
        def add(self, key: Key) -> None:
            msg = "the disk is full"
            raise StoreError(msg)

    with pytest.raises(StoreError, match="the disk is full"):
        SqliteStore(path, Broken())

    with closing(sqlite3.connect(path)) as db:
        assert pragma(db, "user_version") == 0
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == []
    SqliteStore(path).close()


def test_a_list_that_was_given_out_is_the_callers_own(store: SqliteStore) -> None:
    store.queue.add(1, [A])

    store.queue.items().clear()

    assert len(store.queue.items()) == 1


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    write_database(
        path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "CREATE TABLE new (x)"
    )

    with pytest.raises(StoreError, match=rf"{path} was written by a newer fedask"):
        SqliteStore(path)

    db = sqlite3.connect(path)
    assert pragma(db, "user_version") == SCHEMA_VERSION + 1
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("new",)]
    db.close()


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    write_database(path, "CREATE TABLE item (price REAL)")

    with pytest.raises(StoreError, match=str(path)):
        SqliteStore(path)

    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("item",)]
    db.close()


def test_a_database_without_our_tables_fails_with_its_name(path: Path) -> None:
    write_database(path, f"PRAGMA user_version = {SCHEMA_VERSION}")

    with pytest.raises(StoreError, match=f"{path}.*no such table"):
        SqliteStore(path)


@pytest.mark.parametrize(
    "content",
    [b"uid,label\nno,database\n" * 100, b"SQLite format 3\x00" + b"\xff" * 5000],
    ids=["text", "damaged header"],
)
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreError, match=str(path)):
        SqliteStore(path)

    assert path.read_bytes() == content


def test_a_damaged_page_is_reported_not_read(path: Path) -> None:
    store = SqliteStore(path)
    store.queue.add(1, [Uid(f"{i:032x}") for i in range(2000)])
    store.close()
    size = int(np.frombuffer(path.read_bytes()[16:18], dtype=">u2")[0])
    with path.open("r+b") as file:
        file.seek(-size * 20, os.SEEK_END)  # items; the schema is at the start
        file.write(b"\xff" * size * 20)

    def read() -> None:
        with closing(SqliteStore(path)) as again:
            again.queue.items()

    with pytest.raises(StoreError, match=f"{path}.*malformed"):
        read()


@pytest.mark.parametrize("where", ["folder", "missing/device.db", "file/device.db"])
def test_a_place_that_holds_no_file_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=f"cannot open the store {tmp_path / where}"):
        SqliteStore(tmp_path / where)


@pytest.mark.skipif(not Path("/proc").exists(), reason="Linux only")
def test_an_unwritable_place_is_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot open the store /proc/device\.db"):
        SqliteStore(Path("/proc/device.db"))


@pytest.mark.parametrize("fault", ["newer", "text"])
def test_a_refused_file_is_not_held_open(
    path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "text":
        path.write_text("no database" * 1000)
    else:
        write_database(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def watched(where: Path, isolation_level: None) -> sqlite3.Connection:
        opened.append(connect(where, isolation_level=isolation_level))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watched)

    with pytest.raises(StoreError):
        SqliteStore(path)

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_full_disk_keeps_nothing_of_the_call_and_says_so(store: SqliteStore) -> None:
    store.queue.add(1, [A])
    store.connection.db.execute("PRAGMA max_page_count = 8")

    with pytest.raises(StoreError, match="full"):
        store.queue.add(2, [Uid(f"{i:032x}") for i in range(20_000)])

    assert [item.uid for item in store.queue.items()] == [A]
    assert store.cuts.last_cycle() == 1
    store.connection.db.execute("PRAGMA max_page_count = 100000")
    assert store.queue.add(2, [Uid("b" * 32)])


def test_a_locked_file_is_reported_once_the_wait_is_over(
    store: SqliteStore, path: Path
) -> None:
    store.queue.add(1, [A])
    store.connection.db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match=f"{path}: database is locked"):
        store.queue.answer({A: 1})

    assert (
        store.queue.items()[0].state is ItemState.QUEUED
    )  # reading goes on beside a writer
    other.execute("ROLLBACK")
    other.close()
    assert store.queue.answer({A: 1})


def test_a_closed_store_refuses_everything(store: SqliteStore) -> None:
    store.close()

    with pytest.raises(StoreError, match="closed"):
        store.queue.items()
    with pytest.raises(StoreError, match="closed"):
        store.queue.add(1, [A])


def test_an_exception_inside_a_transition_undoes_it(store: SqliteStore) -> None:
    store.queue.add(1, [A])

    def interrupted() -> None:
        with store.connection.transaction() as db:
            db.execute("DELETE FROM item")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert store.queue.items()[0].state is ItemState.QUEUED
    assert store.queue.answer({A: 1})
