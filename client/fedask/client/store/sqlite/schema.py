"""The tables of a device's SQLite file, and its notes. Used by the parts of ``store``.

``row_cipher`` knows which columns are secret, and how they are sealed.
"""

import sqlite3
from datetime import UTC, datetime

SCHEMA_VERSION = 1

ITEM = "uid, state, cycle, label, asked, expired, leased_until, origin, outcome"
PSEUDO_LABEL = "uid, label, confidence, control, cycle"
QUERY_RECORD = "uid, cycle, experts, descriptors, levels, outcome_cycle, outcome"
ANNOTATION = "number, uid, annotator, kind, at, key, content, undone, control, place"

# Names of notes: single small values. One more is ``LOCAL_MODEL``, sealed.
CLASSES = "classes"  # names of the classes that labels are indices of
CUT = "cut"  # the last one
MILESTONES = "milestones"  # how good the fleet's model became
PACE = "pace"  # the state that a stream continues from
POLICY = "policy"  # digest of the site's rights policy; none, or "": no restrictions
UNCLEAN = "unclean"  # erased rows may still stand in free pages

_NOTE = "SELECT value FROM note WHERE name = ?"
_PUT_NOTE = "INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)"
_DROP_NOTE = "DELETE FROM note WHERE name = ?"
_TABLES = """
CREATE TABLE item (
    uid TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    cycle INTEGER NOT NULL,
    label BLOB,
    asked INTEGER NOT NULL DEFAULT 1,
    expired INTEGER NOT NULL DEFAULT 0,
    leased_until TEXT,
    origin TEXT NOT NULL DEFAULT 'cut',
    priority REAL NOT NULL DEFAULT 1.0,  -- highest first; 1 until it is scored
    leases INTEGER NOT NULL DEFAULT 0,  -- running ones, without controls
    votes INTEGER NOT NULL DEFAULT 0,  -- for the class that has most
    known INTEGER NOT NULL DEFAULT 0,  -- whether it may serve as a control
    outcome TEXT,
    right_until TEXT  -- when the right to show it ends; NULL: never
) WITHOUT ROWID, STRICT;
CREATE INDEX item_waiting ON item (priority DESC, cycle, uid)
    WHERE state IN ('queued', 'leased');
CREATE INDEX item_known ON item (uid) WHERE known = 1;
CREATE INDEX item_state ON item (state);
CREATE INDEX item_right ON item (right_until)
    WHERE right_until IS NOT NULL AND state IN ('queued', 'leased');

CREATE TABLE annotation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL,
    annotator BLOB NOT NULL,
    kind TEXT NOT NULL,
    at TEXT,
    key BLOB NOT NULL,
    content BLOB NOT NULL,
    undone TEXT,
    control INTEGER NOT NULL,
    place INTEGER NOT NULL
) STRICT;
CREATE INDEX annotation_uid ON annotation (uid);
CREATE INDEX annotation_annotator ON annotation (annotator, number);
CREATE UNIQUE INDEX annotation_key ON annotation (annotator, key, uid)
    WHERE key <> x'';
-- What a person said is never lost: it may only be marked as taken back. Only what
-- nobody can read any more, for its sample is being erased, may be deleted.
CREATE TRIGGER annotation_stays BEFORE DELETE ON annotation
    WHEN EXISTS (SELECT 1 FROM sample_key WHERE uid = OLD.uid)
    BEGIN SELECT RAISE(ABORT, 'an annotation is kept for ever'); END;
CREATE TRIGGER annotation_is_final BEFORE UPDATE ON annotation
    WHEN OLD.undone IS NOT NULL OR (OLD.number, OLD.uid, OLD.annotator, OLD.kind,
        OLD.at, OLD.key, OLD.content, OLD.control, OLD.place)
        IS NOT (NEW.number, NEW.uid, NEW.annotator, NEW.kind, NEW.at, NEW.key,
        NEW.content, NEW.control, NEW.place)
    BEGIN SELECT RAISE(ABORT, 'an annotation is kept as it was given'); END;

CREATE TABLE lease (
    uid TEXT NOT NULL,
    annotator BLOB NOT NULL,
    content BLOB NOT NULL,
    until TEXT,
    control INTEGER NOT NULL,
    PRIMARY KEY (uid, annotator)
) WITHOUT ROWID, STRICT;
CREATE INDEX lease_until ON lease (until) WHERE until IS NOT NULL;
CREATE INDEX lease_running ON lease (annotator, uid) WHERE until IS NOT NULL;

CREATE TABLE cycle (cycle INTEGER PRIMARY KEY) STRICT;
CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE near_duplicate (
    uid TEXT NOT NULL,
    other TEXT NOT NULL,
    PRIMARY KEY (uid, other)
) WITHOUT ROWID, STRICT;
CREATE TABLE scoring (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    model_version TEXT NOT NULL,
    uids BLOB NOT NULL,
    scores BLOB NOT NULL,
    groups BLOB NOT NULL
) STRICT;
CREATE TABLE model (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    arrays BLOB NOT NULL
) STRICT;
-- Which samples each cycle's models were trained on, sealed.
CREATE TABLE training (cycle INTEGER PRIMARY KEY, uids BLOB NOT NULL) STRICT;
CREATE TABLE query_record (
    uid TEXT PRIMARY KEY,
    cycle INTEGER NOT NULL,
    experts TEXT NOT NULL,
    descriptors BLOB NOT NULL,
    levels BLOB NOT NULL,
    outcome_cycle INTEGER,
    outcome BLOB
) WITHOUT ROWID, STRICT;
CREATE TABLE pseudo_label (
    uid TEXT PRIMARY KEY,
    label BLOB NOT NULL,
    confidence REAL NOT NULL,
    control INTEGER NOT NULL,
    cycle INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- What a stream has decided about: never decided about again.
CREATE TABLE decided (uid TEXT PRIMARY KEY) WITHOUT ROWID, STRICT;
-- When samples came, 16 bytes each; a row for each look that found new ones.
CREATE TABLE first_seen (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    uids BLOB NOT NULL
) STRICT;
CREATE TABLE payload (
    number INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    suffix TEXT NOT NULL,
    size INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0,
    content BLOB NOT NULL
) STRICT;
-- All that a list needs, so that none reads a payload.
CREATE INDEX payload_list ON payload (dropped, uid, suffix, size);

-- The device's key by generation, and the root that it wraps; two rows while keys are
-- changed. Without a root: to be destroyed in the keyring.
CREATE TABLE device_key (
    generation INTEGER PRIMARY KEY,
    key_id BLOB NOT NULL,
    root BLOB
) STRICT;
CREATE TABLE sample_key (
    uid TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL,
    generation INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
-- Keyed hashes of erased samples, and the cycles they were trained in, sealed.
CREATE TABLE forgotten (mark BLOB PRIMARY KEY, cycles BLOB NOT NULL)
    WITHOUT ROWID, STRICT;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is kept for ever'); END;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log stays as written'); END;
-- Also what INSERT OR REPLACE would do, which fires no trigger for the old row.
CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log grows at its end'); END;
"""


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the file's tables; 0: it has none."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def make_tables(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, within a transaction that holds the lock."""
    statement = ""
    for line in _TABLES.splitlines(keepends=True):  # executescript would commit
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def note(db: sqlite3.Connection, name: str) -> bytes:
    """Return the value under a name, or b"" if there is none."""
    row = db.execute(_NOTE, (name,)).fetchone()
    return b"" if row is None else bytes(row[0])


def put_note(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """Keep a value under a name, in place of the one before; b"" deletes it."""
    if value:
        db.execute(_PUT_NOTE, (name, value))
    else:
        db.execute(_DROP_NOTE, (name,))


def to_text(time: datetime) -> str:
    """Write a time so that the order of texts is the order of times."""
    return time.astimezone(UTC).isoformat()
