"""Files of older versions, made by their own steps, are sealed when they are opened."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.canary import forms_of, forms_of_numbers, found_in
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Kind, Label
from fedask.client.records.label_queue import ItemState
from fedask.client.store.keys.keyring import Keyring
from fedask.client.store.memory import FakeClock, MemoryKeyring
from fedask.client.store.sqlite import connection, schema
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.sqlite.tables import STEPS
from fedask.common.errors import StoreError
from fedask.common.ids import Uid
from fedask.common.seal import Key

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LABEL = 0x1A2B3C4D
WHO, KEY, TOKEN = (
    "dr.hieronymus.bosch",
    "key-of-an-answer-7731",
    "token-of-a-lease-4417",
)
A, B, C = (Uid(letter * 32) for letter in "abc")
MANY = 2000  # samples beside: several pages
AT = "2026-03-01T11:00:00+00:00"
UNTIL = "2026-03-01T12:05:00+00:00"

# ruff: noqa: S608  (constants)
FOURTH = (
    f"""INSERT INTO item (uid, state, cycle, label, known, votes, outcome) VALUES
        ('{A}', 'trained', 3, {LABEL}, 1, 1, 'labelled'),
        ('{B}', 'labelled', 3, 0, 1, 1, 'labelled'),
        ('{C}', 'queued', 3, NULL, 0, 0, NULL)""",
    f"""INSERT INTO annotation (uid, annotator, kind, label, at, key, token, undone,
        control, place) VALUES
        ('{A}', '{WHO}', 'label', 7, '{AT}', '{KEY}-0', '{TOKEN}', '{AT}', 0, 1),
        ('{A}', '{WHO}', 'label', {LABEL}, '{AT}', '{KEY}-1', '{TOKEN}', NULL, 0, 1),
        ('{B}', 'oracle', 'given', 0, NULL, '', '', NULL, 0, 3),
        ('{B}', '{WHO}', 'label', 1, '{AT}', '{KEY}-2', '{TOKEN}', NULL, 1, 4)""",
    f"""INSERT INTO lease VALUES ('{A}', '{WHO}', '{TOKEN}', NULL, 0),
        ('{B}', '{WHO}', '{TOKEN}', NULL, 1), ('{C}', '{WHO}', '{TOKEN}', NULL, 0)""",
    f"""INSERT INTO query_record VALUES ('{A}', 3, 'margin', x'', x'', 4, 0.1237694,
    1)""",
    f"""INSERT INTO near VALUES ('{B}', '{C}'), ('{C}', '{B}')""",
)


def write_fourth(path: Path) -> None:
    """Make a file as the fourth version did, with pages that were freed in it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA secure_delete = OFF")  # as most SQLites are built
    for step in STEPS[:4]:
        for statement in step:
            db.execute(statement)
    db.execute("PRAGMA user_version = 4")
    for statement in FOURTH:
        db.execute(statement)
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO item (uid, state, cycle, label) VALUES (?, 'labelled', 3, ?)",
        [(f"{number:032x}", LABEL) for number in range(MANY)],
    )
    db.executemany(
        "INSERT INTO lease VALUES (?, ?, 't', NULL, 0)",
        [(f"{number:032x}", WHO * 3000) for number in range(40)],
    )
    db.execute("DELETE FROM lease WHERE token = 't'")  # freed, and not overwritten
    groups = np.array([LABEL, LABEL], dtype="<i4").tobytes()
    scores = np.array([0.5, 0.25], dtype="<f4").tobytes()
    row = ("00ff", f"{B} {C}", scores, groups)
    db.execute("INSERT INTO scoring VALUES (1, ?, ?, ?, ?)", row)
    db.execute("COMMIT")
    db.close()


def secrets() -> list[tuple[str, bytes]]:
    texts = (WHO, KEY, TOKEN)
    found = [form for text in texts for form in forms_of(text.encode())]
    found += forms_of_numbers([LABEL])
    found += forms_of_numbers([0.1237694])
    return [*found, ("four bytes", LABEL.to_bytes(4, "big"))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "device.db"
    write_fourth(path)
    return path


def files_of(path: Path) -> list[Path]:
    return [each for each in path.parent.iterdir() if each.suffix != ".key"]


def test_all_that_a_file_of_the_fourth_schema_says_stays(path: Path) -> None:
    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            items = {item.uid: item for item in store.queue.items()}
            assert (items[A].state, items[A].label) == (ItemState.TRAINED, LABEL)
            assert (items[C].state, items[C].label) == (ItemState.QUEUED, None)
            assert len(items) == MANY + 3
            said = [
                (v.number, v.uid, v.label, v.kind)
                for v in store.annotations.newest(9, None)
            ]
            assert said == [
                (4, B, 1, Kind.LABEL),
                (3, B, 0, Kind.GIVEN),
                (2, A, LABEL, Kind.LABEL),
                (1, A, 7, Kind.LABEL),
            ]
            last = store.annotations.newest(1, None)[0]
            assert (last.annotator, last.key, last.token) == (WHO, f"{KEY}-2", TOKEN)
            assert (last.place, last.control) == (4, True)
            (query_record,) = store.query_outcomes.all()
            assert query_record.finding is not None
            assert (query_record.finding.truth, query_record.finding.hit) == (
                0.1237694,
                True,
            )
            kept = store.scores.last()
            assert kept is not None
            assert kept[1].groups.tolist() == [LABEL, LABEL]
            progress = store.annotations.progress(NOON)
            assert progress.classes == {LABEL: MANY + 1, 0: 1}
            assert progress.annotators == {WHO: 2, "oracle": 1}
            assert progress.controls == {WHO: (0, 1)}


def test_an_answer_on_its_way_is_still_taken(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=9))

        receipt = desk.submit(WHO, C, TOKEN, Label(5), "a new key")
        again = desk.submit(WHO, C, TOKEN, Label(5), "a new key")

        assert receipt == again
        assert receipt.number == 5


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_of_it_is_left_in_clear(path: Path, *, killed: bool) -> None:
    assert found_in(files_of(path), secrets())  # the search works
    if killed:  # what a process leaves that does not close its file
        wal = path.with_name(path.name + "-wal")
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE item SET cycle = 4")
        left = path.read_bytes(), wal.read_bytes()
        db.close()
        path.write_bytes(left[0])
        wal.write_bytes(left[1])

    with closing(SqliteStore(path)) as store:
        assert found_in(files_of(path), secrets()) == []
        assert store.queue.items()[-1].uid == C

    assert found_in(files_of(path), secrets()) == []


def test_while_another_process_reads_the_old_pages_stay_and_go_later(
    path: Path,
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM item").fetchone()

    with closing(_impatient(path)) as store:
        assert store.annotations.progress(NOON).annotators == {WHO: 2, "oracle": 1}
    assert found_in(files_of(path), secrets())  # the other one needs it
    other.execute("COMMIT")
    other.close()

    with closing(SqliteStore(path)) as store:
        assert not schema.is_unclean(store.connection.db)
        assert found_in(files_of(path), secrets()) == []


def _impatient(path: Path) -> SqliteStore:
    before = connection.BUSY_TIMEOUT_MS
    try:
        connection.BUSY_TIMEOUT_MS = 10
        return SqliteStore(path)
    finally:
        connection.BUSY_TIMEOUT_MS = before


def test_a_keyring_that_refuses_leaves_the_old_file(path: Path) -> None:
    class Broken(MemoryKeyring):
        @override
        def add(self, key: Key) -> None:
            msg = "the disk is full"
            raise StoreError(msg)

    broken: Keyring = Broken()
    with pytest.raises(StoreError, match="the disk is full"):
        SqliteStore(path, broken)

    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone()[0] == 4
    assert db.execute("SELECT count(*) FROM annotation").fetchone()[0] == 4
    db.close()
    with closing(SqliteStore(path)) as store:
        assert len(store.annotations.newest(9, None)) == 4
