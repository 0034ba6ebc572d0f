"""A lock for work that only one process of a device may do at a time.

Used around that work. Never waits.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fedask.client.base.private_file import made_private
from fedask.common.errors import StoreError

_TAKEN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Claim the work; yields whether it is ours, and gives it back afterwards.

    A transaction over an empty database: like the store's own it works on every system,
    and that of a process which was killed ends with it.

    Parameters
    ----------
    path
        Stands for the work; an empty file is made there, and stays.

    Raises
    ------
    StoreError
        If the file cannot be made.
    """
    try:
        with made_private(path):
            db = sqlite3.connect(path, timeout=0, isolation_level=None)
    except (sqlite3.Error, OSError) as err:
        raise StoreError(f"cannot make {path}: {err}") from err
    with closing(db):
        yield _begun(db, path)


def _begun(db: sqlite3.Connection, path: Path) -> bool:
    try:
        db.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as err:
        if (err.sqlite_errorcode or 0) & 0xFF in _TAKEN:
            return False
        raise StoreError(f"cannot use {path}: {err}") from err
    return True
