"""Changing a device's key, with processes that die at any step of it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from typing_extensions import override

from fedask.client.records.audit import Audit
from fedask.client.store.keys.key_file import KeyFile
from fedask.client.store.keys.keyring import FixedKeyring, Keyring
from fedask.client.store.sqlite import key_rotation
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid, bytes_uid
from fedask.common.seal import Key

UIDS = [Uid(f"{number:032x}") for number in range(25)]
CONTENT = bytes(range(256)) * 40
PAYLOAD = bytes_uid(CONTENT)


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Fate:
    """After how many steps the process dies."""

    left: int

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError


class MortalKeyring(Keyring):
    """Dies before or after a key is on the disk."""

    def __init__(self, inner: Keyring, fate: Fate) -> None:
        self._inner, self._fate, self.place = inner, fate, inner.place

    @override
    def read(self) -> tuple[Key, ...]:
        return self._inner.read()

    @override
    def add(self, key: Key) -> None:
        self._fate.step()
        self._inner.add(key)
        self._fate.step()

    @override
    def drop(self, key_id: bytes) -> None:
        self._fate.step()
        self._inner.drop(key_id)
        self._fate.step()


class MortalConnection(Connection):
    """Dies before or after a transaction is on the disk."""

    def __init__(
        self, fate: Fate, path: Path, keyring: Keyring | None, audit: Audit
    ) -> None:
        self._fate = fate
        super().__init__(path, keyring, audit)

    @contextmanager
    @override
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self._fate.step()
        with super().transaction() as db:
            yield db
        self._fate.step()


def mortal(path: Path, fate: Fate) -> SqliteStore:
    keyring = MortalKeyring(KeyFile(key_of(path)), fate)
    return SqliteStore(path, keyring, connect=partial(MortalConnection, fate))


def key_of(path: Path) -> Path:
    return path.with_name(path.name + ".key")


def fill(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.queue.add(1, UIDS)
        store.queue.answer({uid: int(uid, 16) for uid in UIDS}, Annotator("ann"))
        store.payloads.put(PAYLOAD, ".bin", CONTENT)


def check(store: SqliteStore) -> None:
    assert [(i.uid, i.label) for i in store.queue.items()] == [
        (uid, int(uid, 16)) for uid in UIDS
    ]
    assert len(store.annotations.newest(99, Annotator("ann"))) == len(
        UIDS
    )  # names still meet
    assert store.payloads.content(PAYLOAD) == CONTENT


def sealed_rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return [
            row
            for query in (
                "SELECT uid, content FROM payload",
                "SELECT uid, label FROM item ORDER BY uid",
                "SELECT number, annotator, content FROM annotation ORDER BY number",
            )
            for row in db.execute(query)
        ]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "device.db")
    return tmp_path / "device.db"


def test_only_keys_are_written_anew_and_the_old_one_opens_nothing(path: Path) -> None:
    old, before = key_of(path).read_bytes(), sealed_rows(path)

    with closing(SqliteStore(path)) as store:
        store.rotate()
        check(store)

    assert sealed_rows(path) == before
    assert old.split()[0] not in key_of(path).read_bytes()
    with closing(SqliteStore(path)) as store:
        check(store)
    new = key_of(path).read_bytes()
    key_of(path).write_bytes(old)
    with pytest.raises(StoreError, match="sealed with another key"):
        SqliteStore(path)
    key_of(path).write_bytes(new)


def test_a_process_that_dies_at_any_step_leaves_a_store_that_opens(
    path: Path, tmp_path: Path
) -> None:
    for steps in range(1, 100):
        copy = tmp_path / f"{steps}.db"
        copy.write_bytes(path.read_bytes())
        key_of(copy).write_bytes(key_of(path).read_bytes())
        key_of(copy).chmod(0o600)
        (old,) = KeyFile(key_of(copy)).read()
        fate = Fate(steps)
        died = False
        try:
            with closing(mortal(copy, fate)) as store:
                store.rotate()
        except KilledError:
            died = True

        for _ in range(2):  # work goes on, before the change is finished
            with closing(SqliteStore(copy)) as store:
                check(store)
                store.payloads.put(bytes_uid(b"new"), ".bin", b"new")
        with closing(SqliteStore(copy)) as store:
            store.rotate()
            check(store)
            assert store.payloads.content(bytes_uid(b"new")) == b"new"
        left = KeyFile(key_of(copy)).read()
        assert len(left) == 1
        assert left[0].id != old.id
        with closing(sqlite3.connect(copy)) as db:
            assert len(db.execute("SELECT * FROM device_key").fetchall()) == 1
            query = "SELECT count(DISTINCT generation) FROM sample_key"
            assert db.execute(query).fetchone() == (1,)
        if not died:
            assert steps > 15
            break
    else:
        pytest.fail("never finished")


def test_a_process_that_was_open_meanwhile_goes_on(path: Path) -> None:
    with closing(SqliteStore(path)) as other, closing(SqliteStore(path)) as store:
        check(other)
        store.rotate()
        store.rotate()

        fresh = bytes_uid(b"fresh")
        other.payloads.put(fresh, ".bin", b"fresh")  # under the key of now
        assert store.payloads.content(fresh) == b"fresh"
        check(other)
    with closing(SqliteStore(path)) as again:
        check(again)
        assert again.payloads.content(fresh) == b"fresh"


def test_a_killed_change_is_finished_by_the_next_opening_where_only_a_key_is_left(
    path: Path,
) -> None:
    class LastKeyring(MortalKeyring):
        @override
        def drop(self, key_id: bytes) -> None:
            raise KilledError

    with closing(
        SqliteStore(path, LastKeyring(KeyFile(key_of(path)), Fate(-1)))
    ) as store:
        with pytest.raises(KilledError):
            store.rotate()
        assert len(KeyFile(key_of(path)).read()) == 2

    with closing(SqliteStore(path)) as store:
        check(store)
    assert len(KeyFile(key_of(path)).read()) == 1


def test_a_key_of_several_stores_is_not_changed(tmp_path: Path) -> None:
    fleet = FixedKeyring(KeyFile(tmp_path / "fleet.key"))
    with (
        closing(SqliteStore(tmp_path / "one.db", fleet)) as one,
        closing(SqliteStore(tmp_path / "two.db", fleet)) as two,
    ):
        with pytest.raises(StoreError, match="shared by several stores"):
            one.rotate()
        two.queue.add(1, UIDS)
        two.queue.answer({UIDS[0]: 1})

    with closing(SqliteStore(tmp_path / "two.db", fleet)) as two:
        assert two.queue.items()[0].label == 1
