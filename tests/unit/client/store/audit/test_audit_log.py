import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.client.audits import (
    KEY,
    NOON,
    UIDS,
    checked,
    expected,
    opened,
    pseudonym,
    rows,
    tampering,
)
from tests.support.client.clock import FakeClock

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Label
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.store.audit.audit_check import latest
from fedask.client.store.audit.audit_log import accept
from fedask.client.store.audit.hash_chain import AuditKey, Head
from fedask.client.store.audit.head_file import head_path
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, ProtocolError, StoreError

A, B = UIDS[:2]
TEXT = "2026-03-01T12:00:00+00:00"
NEW_KEY = b"n" * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


def events(path: Path) -> list[str]:
    return [row[2] for row in rows(path)]


def test_the_chain_is_that_of_the_obvious_reference(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A, B])
        store.queue.answer({A: 3})
        store.record(Event.EXPORTED, at=NOON + timedelta(hours=1), bytes=9)

    name = AuditKey(KEY).name
    both = pseudonym(KEY, "sample", A) + pseudonym(KEY, "sample", B)
    oracle = pseudonym(KEY, "person", "oracle")
    labelled = {"by": oracle, "count": 1, "samples": both[:16], "source": "oracle"}
    assert rows(path) == expected(
        KEY,
        [
            (TEXT, "opened", {"key": name, "process": "device"}),
            (TEXT, "queued", {"count": 2, "cycle": 1, "samples": both}),
            (TEXT, "labelled", labelled),
            (TEXT.replace("12:", "13:"), "exported", {"bytes": 9}),
        ],
    )


def test_a_thousand_samples_queued_are_one_entry(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, UIDS[:1000])
        store.queue.add(2, UIDS[1000:])

    assert events(path) == ["opened", "queued", "queued"]
    assert checked(path).ok


def test_more_samples_than_one_entry_holds_make_more_entries(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, UIDS)

    assert events(path) == ["opened", "queued", "queued"]
    assert sum(len(row[3]) for row in rows(path)) > 16 * len(UIDS)


def test_what_did_not_happen_has_no_entry(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        assert not store.queue.add(1, [B])  # the same cycle again
        store.queue.trained({A: 3})  # it has no label
        store.queue.move([A], ItemState.QUEUED)  # where it is
        with pytest.raises(StoreError, match="not in the queue"):
            store.queue.answer({A: 3, B: 3})

    assert events(path) == ["opened", "queued"]
    assert checked(path).ok


def test_a_refused_annotation_is_recorded_without_what_was_sent(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=7))
        with pytest.raises(ProtocolError):
            desk.submit("ann", A, "no-token", Label(3), "k")

    assert rows(path)[-1][2:4] == ("refused", '{"place":"desk"}')


def test_neither_labels_nor_names_nor_uids_stand_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), opened(path) as store:
        clock = FakeClock(NOON)
        desk = Desk(store.annotations, clock, DeskSettings(classes=10**6))
        store.queue.add(1, [A, B])
        leases = desk.lease("mallory", 2)
        for lease in leases:
            said = Label(424_242)
            desk.submit("mallory", lease.uid, lease.token, said, lease.uid)
        desk.undo("mallory")
        desk.release("mallory")
        store.queue.trained({A: 424_242})

    kept = repr(rows(path)) + caplog.text + head_path(path).read_bytes().hex()
    assert "labelled" in kept
    for secret in ("mallory", "424242", A, B, A[:16], *(x.token for x in leases)):
        assert secret not in kept


@pytest.mark.parametrize(
    "facts",
    [
        {"note": "free text of any kind"},
        {"note": "Ann"},
        {"note": "x" * 65},
        {"note": 1.5},
        {"note": True},
        {"note": 1 << 63},
        {"by": "ann"},
        {"samples": "00"},
        {"A": 1},
    ],
)
def test_free_text_is_no_fact(path: Path, facts: dict[str, int | str]) -> None:
    with opened(path) as store, pytest.raises(StoreError, match="short words"):
        store.record(Event.EXPORTED, (), at=NOON, **facts)


def test_a_key_is_long_and_never_printed() -> None:
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        AuditKey(b"x" * 31)
    assert "0102" not in repr(AuditKey(KEY))


def test_a_head_is_printed_and_read_again() -> None:
    head = Head(number=12, hash=b"\xab" * 32)

    assert Head.parse(f" {head}\n") == head
    for text in ("", "12", "12:ab", f"-1:{'ab' * 32}", f"1:{'AB' * 32}"):
        with pytest.raises(ConfigError, match="is no head"):
            Head.parse(text)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET body = '{}' WHERE number = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 2",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE number = 1",
        "INSERT INTO audit SELECT 9, at, event, body, hash, hash, mac FROM audit",
        "INSERT INTO audit SELECT -1, at, event, body, hash, hash, mac FROM audit",
    ],
)
def test_the_table_refuses_all_but_its_next_entry(path: Path, statement: str) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])

    with (
        closing(sqlite3.connect(path)) as db,
        pytest.raises(sqlite3.IntegrityError, match="audit log"),
    ):
        db.execute(statement)
    assert checked(path).ok


def test_a_file_with_a_log_is_not_changed_without_it(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])

    with closing(SqliteStore(path)) as bare:
        assert len(bare.queue.items()) == 1
        with pytest.raises(StoreError, match="without its key"):
            bare.queue.add(2, [B])
        with pytest.raises(StoreError, match="without its key"):
            bare.queue.answer({A: 1})


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_log_that_was_cut_is_found_and_not_gone_on_with(
    path: Path, keep: int
) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        store.queue.add(2, [B])
    with tampering(path) as db:
        db.execute("DELETE FROM audit WHERE number > ?", (keep,))

    found = checked(path)

    assert (found.ok, found.bad, found.entries) == (False, keep + 1, keep)
    assert "removed" in found.reason
    with pytest.raises(StoreError, match="knows entry 3: entries were removed"):
        audit_opened(path)


def audit_opened(path: Path, key: bytes = KEY) -> None:
    with opened(path, key):
        pass


def test_a_log_cut_under_a_running_process_is_found_by_it(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        with tampering(path) as db:
            db.execute("DELETE FROM audit WHERE number > 1")
        with pytest.raises(StoreError, match="were removed"):
            store.queue.add(2, [B])


@pytest.mark.parametrize("name", ["device.db", "device.db.head"])
def test_a_file_that_is_gone_is_found(path: Path, name: str) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    (path.parent / name).unlink()

    assert not checked(path).ok
    with pytest.raises(StoreError, match=r"is gone|were removed"):
        audit_opened(path)


def test_a_foreign_entry_at_the_end_is_found(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    forged = expected(b"x" * 32, [(TEXT, "queued", {})] * 3)[2]
    with tampering(path) as db:
        (last,) = db.execute("SELECT hash FROM audit WHERE number = 2").fetchone()
        row = list(forged)
        row[4] = last
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    found = checked(path)
    assert (found.bad, found.entries) == (3, 2)
    with pytest.raises(StoreError, match=r"entry 3 .* not written by this device"):
        audit_opened(path)


def test_old_copies_of_both_files_are_found_by_a_head_kept_elsewhere(
    path: Path,
) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = (path.read_bytes(), head_path(path).read_bytes())
    with opened(path) as store:
        store.queue.add(2, [B])
    elsewhere = checked(path).head
    assert elsewhere is not None
    assert checked(path, head=elsewhere).ok
    for each in path.parent.glob("device.db-*"):
        each.unlink()
    path.write_bytes(old[0])
    head_path(path).write_bytes(old[1])

    assert checked(path).ok  # nothing on the device can tell
    found = checked(path, head=elsewhere)
    assert (found.ok, found.bad) == (False, 3)


def test_another_key_believes_nothing(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])

    assert "no head" in checked(path, key=NEW_KEY).reason
    with pytest.raises(StoreError, match="of this key"):
        audit_opened(path, NEW_KEY)


def test_without_a_key_the_chain_alone_is_checked(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        store.queue.add(2, [B])
    assert checked(path, key=None).ok
    with tampering(path) as db:
        db.execute("UPDATE audit SET body = '{}' WHERE number = 2")

    found = checked(path, key=None)
    assert (found.bad, found.reason) == (2, "was changed")


def test_an_owner_may_accept_a_log_and_that_is_recorded(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        store.queue.add(2, [B])
    with tampering(path) as db:
        db.execute("DELETE FROM audit WHERE number > 2")

    with closing(sqlite3.connect(path)) as db:
        head = accept(path, db, KEY, NOON)
        db.commit()

    assert rows(path)[-1][2:4] == ("accepted", '{"found":2,"head":3}')
    assert (head.number, checked(path).ok) == (3, True)
    with opened(path):
        pass
    assert checked(path).ok


@pytest.mark.parametrize("left", [None, b"", b"x" * 1024])
def test_a_log_whose_head_was_lost_is_good_again_once_it_is_accepted(
    path: Path, left: bytes | None
) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    head_path(path).unlink()
    if left is not None:
        head_path(path).write_bytes(left)
    assert not checked(path).ok

    with closing(sqlite3.connect(path)) as db:
        accept(path, db, KEY, NOON)
        db.commit()

    assert rows(path)[-1][2:4] == ("accepted", '{"found":2,"head":-1}')
    assert checked(path).ok
    with opened(path):
        pass
    with tampering(path) as db:
        db.execute("DELETE FROM audit WHERE number = 1")
    assert checked(path).bad == 1


def test_a_head_that_cannot_be_written_stops_the_next_change(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path) as store:
        away = head_path(path).rename(path.with_name("away"))
        store.queue.add(1, [A])  # it happened, and is kept
        assert "head not written" in caplog.text
        for _ in range(2):  # however often it is tried
            with pytest.raises(StoreError, match="cannot write the head"):
                store.queue.add(2, [B])
        away.rename(head_path(path))
        store.queue.add(2, [B])

    found = checked(path)
    assert (found.ok, found.entries, found.newer) == (True, 3, 0)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_slot_leaves_the_other(path: Path, slot: int) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        store.queue.add(2, [B])
    raw = bytearray(head_path(path).read_bytes())
    raw[512 * slot + 40 : 512 * slot + 60] = bytes(20)
    head_path(path).write_bytes(raw)

    found = checked(path)

    assert found.ok
    assert found.newer == 0  # it is of the same entry
    with opened(path):
        pass


@pytest.mark.parametrize("slot", [0, 1])
def test_who_spoils_a_slot_cannot_cut_the_log_to_the_other(
    path: Path, slot: int
) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
        store.queue.add(2, [B])
    raw = bytearray(head_path(path).read_bytes())
    raw[512 * slot : 512 * (slot + 1)] = bytes(512)
    head_path(path).write_bytes(raw)
    with tampering(path) as db:
        db.execute("DELETE FROM audit WHERE number = 3")

    found = checked(path)

    assert (found.bad, found.reason) == (3, "entries 3 to 3 were removed")


def test_a_body_of_any_length_is_not_read(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    with tampering(path) as db:
        db.execute("UPDATE audit SET body = zeroblob(10000000) || '' WHERE number = 2")

    found = checked(path)
    assert found.bad == 2
    assert "too big" in found.reason


def test_a_schema_that_is_damaged_in_a_name_is_not_read(path: Path) -> None:
    with opened(path) as store:
        store.queue.add(1, [A])
    with tampering(path) as db:
        db.execute("PRAGMA writable_schema = ON")
        change = "UPDATE sqlite_master SET name = CAST(x'a0' AS TEXT), sql = 'CREATE'"
        db.execute(change + " WHERE name = 'audit'")

    found = checked(path)

    assert (found.bad, "cannot be read" in found.reason) == (1, True)
    with pytest.raises(StoreError, match="cannot read the audit log"):
        latest(path, 1)


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0" + b"\xff" * 99])
def test_a_file_without_a_log_is_no_good_one(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert not checked(path, key=None).ok
    assert path.read_bytes() == content
    path.unlink()
    assert not checked(path, key=None).ok
    assert not path.exists()


def test_times_are_kept_in_utc(path: Path) -> None:
    with opened(path) as store:
        store.record(Event.IMPORTED, at=datetime(2026, 1, 1, tzinfo=UTC))

    assert rows(path)[-1][1] == "2026-01-01T00:00:00+00:00"
