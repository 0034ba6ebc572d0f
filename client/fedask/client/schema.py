"""The tables of a device's SQLite file, what a row stands for, and older files.

Called by the store. A file that people's answers are in is never refused for its age,
but brought up to date when it is opened.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fedask.client.precedents import Finding, Precedent
from fedask.client.queue import Item, Origin, State
from fedask.common.ids import Uid

COLUMNS = "uid, state, cycle, label, asked, expired, leased_until, origin, outcome"
PRECEDENT = "uid, cycle, experts, descriptors, levels, found, truth, hit"  # its columns

# Version n is what the first n of these make. A released one is never changed.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE item (
            uid TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            cycle INTEGER NOT NULL,
            label INTEGER,
            asked INTEGER NOT NULL DEFAULT 1,
            expired INTEGER NOT NULL DEFAULT 0,
            leased_until TEXT
        ) WITHOUT ROWID, STRICT""",
        "CREATE TABLE cycle (cycle INTEGER PRIMARY KEY) STRICT",
        """CREATE TABLE scoring (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            model_version TEXT NOT NULL,
            uids TEXT NOT NULL,
            scores BLOB NOT NULL,
            groups BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE model (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            arrays BLOB NOT NULL
        ) STRICT""",
    ),
    (
        "ALTER TABLE item ADD COLUMN origin TEXT NOT NULL DEFAULT 'cut'",
        "CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
    (
        """CREATE TABLE precedent (
            uid TEXT PRIMARY KEY,
            cycle INTEGER NOT NULL,
            experts TEXT NOT NULL,
            descriptors BLOB NOT NULL,
            levels BLOB NOT NULL,
            found INTEGER,
            truth REAL,
            hit INTEGER
        ) WITHOUT ROWID, STRICT""",
    ),
    (
        # Highest first; 1 until it is scored.
        "ALTER TABLE item ADD COLUMN priority REAL NOT NULL DEFAULT 1.0",
        # Of its sheet: running leases, votes of the best class, fit to be a control.
        "ALTER TABLE item ADD COLUMN taken INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN votes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN known INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN outcome TEXT",
        """CREATE INDEX item_waiting ON item (priority DESC, cycle, uid)
            WHERE state IN ('queued', 'leased')""",
        "CREATE INDEX item_known ON item (uid) WHERE known = 1",
        "CREATE INDEX item_state ON item (state, label)",
        """CREATE TABLE verdict (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            uid TEXT NOT NULL,
            annotator TEXT NOT NULL,
            kind TEXT NOT NULL,
            label INTEGER,
            at TEXT,
            key TEXT NOT NULL,
            token TEXT NOT NULL,
            undone TEXT,
            control INTEGER NOT NULL,
            place INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX verdict_uid ON verdict (uid)",
        "CREATE INDEX verdict_annotator ON verdict (annotator, number)",
        """CREATE UNIQUE INDEX verdict_key ON verdict (annotator, key, uid)
            WHERE key <> ''""",
        # What a person said is never lost: it may only be marked as taken back.
        """CREATE TRIGGER verdict_stays BEFORE DELETE ON verdict
            BEGIN SELECT RAISE(ABORT, 'a verdict is kept for ever'); END""",
        """CREATE TRIGGER verdict_is_final BEFORE UPDATE ON verdict
            WHEN OLD.undone IS NOT NULL OR (OLD.number, OLD.uid, OLD.annotator,
                OLD.kind, OLD.label, OLD.at, OLD.key, OLD.token, OLD.control, OLD.place)
                IS NOT (NEW.number, NEW.uid, NEW.annotator, NEW.kind, NEW.label,
                NEW.at, NEW.key, NEW.token, NEW.control, NEW.place)
            BEGIN SELECT RAISE(ABORT, 'a verdict is kept as it was given'); END""",
        """CREATE TABLE lease (
            uid TEXT NOT NULL,
            annotator TEXT NOT NULL,
            token TEXT NOT NULL,
            until TEXT,
            control INTEGER NOT NULL,
            PRIMARY KEY (uid, annotator)
        ) WITHOUT ROWID, STRICT""",
        "CREATE INDEX lease_until ON lease (until) WHERE until IS NOT NULL",
        "CREATE INDEX lease_held ON lease (annotator, uid) WHERE until IS NOT NULL",
        """CREATE TABLE near (
            uid TEXT NOT NULL,
            other TEXT NOT NULL,
            PRIMARY KEY (uid, other)
        ) WITHOUT ROWID, STRICT""",
        # Answers of older files came from oracles; a lease had no holder to answer it.
        """INSERT INTO verdict
            (uid, annotator, kind, label, key, token, control, place)
            SELECT uid, 'oracle', iif(label IS NULL, 'skip', 'given'), label, '', '',
                0, 0
            FROM item WHERE label IS NOT NULL OR state = 'skipped' ORDER BY uid""",
        """UPDATE item SET outcome = iif(label IS NULL, 'skipped', 'labelled'),
            known = label IS NOT NULL, votes = label IS NOT NULL
            WHERE label IS NOT NULL OR state = 'skipped'""",
        """UPDATE item SET state = 'queued', leased_until = NULL
            WHERE state = 'leased'""",
    ),
    (
        # When the right to show it ends; NULL where the owner asks for no rights.
        "ALTER TABLE item ADD COLUMN right_until TEXT",
        """CREATE INDEX item_right ON item (right_until)
            WHERE right_until IS NOT NULL AND state IN ('queued', 'leased')""",
        # When samples came, 16 bytes each; a row for each look that found new ones.
        """CREATE TABLE arrival (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            uids BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            event TEXT NOT NULL,
            body TEXT NOT NULL,
            previous BLOB NOT NULL,
            hash BLOB NOT NULL,
            mac BLOB NOT NULL
        ) STRICT""",
        """CREATE TRIGGER audit_stays BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit log is kept for ever'); END""",
        """CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit log stays as written'); END""",
        # Also what INSERT OR REPLACE would do, which fires no trigger for the old row.
        """CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
            WHEN NEW.number IS NOT
                (SELECT coalesce(max(number), 0) + 1 FROM audit)
            BEGIN SELECT RAISE(ABORT, 'the audit log grows at its end'); END""",
    ),
)
SCHEMA_VERSION = len(_STEPS)


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make the tables that the file lacks. Within a transaction that holds the lock."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    for step in _STEPS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")


def to_text(time: datetime) -> str:
    """Write a time so that the order of texts is the order of times."""
    return time.astimezone(UTC).isoformat()


def to_item(row: Sequence[object]) -> Item:
    """Read a row of ``COLUMNS``."""
    uid, state, cycle, label, asked, expired, until, origin, outcome = row
    return Item(
        uid=Uid(str(uid)),
        state=State(str(state)),
        cycle=int(str(cycle)),
        label=None if label is None else int(str(label)),
        asked=int(str(asked)),
        expired=int(str(expired)),
        leased_until=None if until is None else datetime.fromisoformat(str(until)),
        origin=Origin(str(origin)),
        outcome=None if outcome is None else State(str(outcome)),
    )


def from_precedent(precedent: Precedent) -> tuple[object, ...]:
    """Write a precedent without a finding: the first five of ``PRECEDENT``."""
    numbers = (precedent.descriptors, precedent.levels)
    blobs = (np.array(each, dtype="<f4").tobytes() for each in numbers)
    return (precedent.uid, precedent.cycle, precedent.experts, *blobs)


def to_precedent(row: Sequence[Any]) -> Precedent:
    """Read a row of ``PRECEDENT``."""
    uid, cycle, experts, descriptors, levels, found, truth, hit = row
    finding = None
    if found is not None:
        finding = Finding(cycle=found, truth=truth, hit=bool(hit))
    return Precedent(
        uid=Uid(uid),
        cycle=cycle,
        experts=experts,
        descriptors=tuple(np.frombuffer(descriptors, dtype="<f4").tolist()),
        levels=tuple(np.frombuffer(levels, dtype="<f4").tolist()),
        finding=finding,
    )
