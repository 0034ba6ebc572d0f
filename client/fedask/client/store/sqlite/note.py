"""Single values in a device's SQLite file, each under a name. Called in the store."""

import sqlite3

CLASSES = "classes"  # names of the classes that labels are indices of
CUT = "cut"  # the last one
MILESTONES = "milestones"  # how good the fleet's model became
OWN = "own"  # what the own model was trained on, sealed
PACE = "pace"  # what a stream goes on from
POLICY = "rights"  # digest of the site's policy; none, or "": no restrictions
UNCLEAN = "unclean"  # erased rows may still stand in free pages

_NOTE = "SELECT value FROM note WHERE name = ?"
_PUT = "INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)"
_DROP = "DELETE FROM note WHERE name = ?"


def note(db: sqlite3.Connection, name: str) -> bytes:
    """Return what is kept under a name, or b"" if nothing is."""
    row = db.execute(_NOTE, (name,)).fetchone()
    return b"" if row is None else bytes(row[0])


def put_note(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """Keep a value under a name, in place of the one before."""
    db.execute(_PUT, (name, value))


def drop_note(db: sqlite3.Connection, name: str) -> None:
    """Keep nothing under a name."""
    db.execute(_DROP, (name,))
