"""The schema of a device's SQLite file, and files of an older one.

Called by the store. A file that people's answers are in is never refused for its age,
but brought up to date when it is opened. The tables themselves are in ``tables``; what
the columns hold that are secret is the business of ``row_cipher``.
"""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache

from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.keys.row_cipher import RowCipher
from fedask.client.store.sqlite.migration import drop_plain, seal_rows
from fedask.client.store.sqlite.tables import STEPS

COLUMNS = "uid, state, cycle, label, asked, expired, leased_until, origin, outcome"
SURE = "uid, label, confidence, control, cycle"
QUERY_RECORD = "uid, cycle, experts, descriptors, levels, found, finding"  # its columns
ANNOTATION = "number, uid, annotator, kind, at, key, said, undone, control, place"
_SEALED = 5  # the version from which on secrets are sealed
SCHEMA_VERSION = len(STEPS)

# Names of notes: single small values.
CLASSES = "classes"  # names of the classes that labels are indices of
CUT = "cut"  # the last one
MILESTONES = "milestones"  # how good the fleet's model became
LOCAL_MODEL = "own"  # what the local model was trained on, sealed
PACE = "pace"  # what a stream goes on from
POLICY = "rights"  # digest of the site's policy; none, or "": no restrictions
UNCLEAN = "unclean"  # erased rows may still stand in free pages
_NOTE = "SELECT value FROM note WHERE name = ?"
_PUT = "INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)"
_DROP = "DELETE FROM note WHERE name = ?"


def bring_up_to_date(
    db: sqlite3.Connection, vault: KeyVault, sealer: RowCipher
) -> None:
    """Make the tables that the file lacks, and seal what older ones had in clear.

    Within a transaction that holds the lock. An older file is unclean afterwards.

    Raises
    ------
    StoreError
        If the keyring refuses.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    steps = STEPS[version:] if version else [_newest()]
    for step in steps:
        for statement in step:
            db.execute(statement)
    if version >= _SEALED:
        vault.open(db)
    else:
        vault.make(db)
        if version:
            seal_rows(db, sealer)
            set_unclean(db, unclean=True)
    db.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")


@lru_cache(maxsize=1)
def _newest() -> tuple[str, ...]:
    """Return what makes the newest tables at once: a tenth of the time of all steps."""
    with closing(sqlite3.connect(":memory:")) as db:
        for step in STEPS:
            for statement in step:
                db.execute(statement)
        drop_plain(db)
        made = db.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL "
            "AND name NOT LIKE 'sqlite_%' ORDER BY type = 'table' DESC, rowid"
        )
        return tuple(sql for (sql,) in made)


def note(db: sqlite3.Connection, name: str) -> bytes:
    """Return the value under a name, or b"" if there is none."""
    row = db.execute(_NOTE, (name,)).fetchone()
    return b"" if row is None else bytes(row[0])


def put_note(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """Keep a value under a name, in place of the one before."""
    db.execute(_PUT, (name, value))


def drop_note(db: sqlite3.Connection, name: str) -> None:
    """Delete the value under a name."""
    db.execute(_DROP, (name,))


def set_unclean(db: sqlite3.Connection, *, unclean: bool) -> None:
    """Note whether the file may still show what was deleted."""
    if unclean:
        put_note(db, UNCLEAN, b"\x01")
    else:
        drop_note(db, UNCLEAN)


def is_unclean(db: sqlite3.Connection) -> bool:
    """Return what was noted last."""
    return bool(note(db, UNCLEAN))


def to_text(time: datetime) -> str:
    """Write a time so that the order of texts is the order of times."""
    return time.astimezone(UTC).isoformat()
