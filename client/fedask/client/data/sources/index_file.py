"""Opens, creates and empties the SQLite file of the index.

The ground of ``index``. It holds hashes, places and reasons, never a sample, and may be
deleted at any time: it is made anew. Therefore ``synchronous=NORMAL``, unlike the
store, and no WAL: transactions are few and short, and a file without one needs no care
when two processes make it at once. An index under another key is emptied.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from fedask.client.base.private_file import made_private
from fedask.common.errors import SealError, StoreError
from fedask.common.seal import Key, Place, new_key, seal, unseal

BUSY_TIMEOUT_MS = 10_000
_VERSION = 2  # an index of any other is emptied

_TABLES = (
    # What only the right key opens.
    "CREATE TABLE lock (sealed BLOB NOT NULL) STRICT",
    "CREATE TABLE source (id INTEGER PRIMARY KEY, mark BLOB UNIQUE NOT NULL) STRICT",
    "CREATE TABLE form (id INTEGER PRIMARY KEY, form TEXT UNIQUE NOT NULL) STRICT",
    """CREATE TABLE file (
        id INTEGER PRIMARY KEY,
        source INTEGER NOT NULL REFERENCES source,
        mark BLOB NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        uids BLOB NOT NULL,
        places BLOB NOT NULL,
        forms BLOB NOT NULL,
        keys BLOB NOT NULL,
        UNIQUE (source, mark)
    ) STRICT""",
    """CREATE TABLE broken (
        file INTEGER NOT NULL REFERENCES file ON DELETE CASCADE,
        sealed BLOB NOT NULL
    ) STRICT""",
    # Files that may still be growing, as they looked the last time.
    """CREATE TABLE seen (
        source INTEGER NOT NULL REFERENCES source,
        mark BLOB NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        PRIMARY KEY (source, mark)
    ) WITHOUT ROWID, STRICT""",
    "CREATE INDEX broken_file ON broken (file)",
)
_LOCK = Place("lock", "sealed")


class IndexFile:
    """One connection to the file.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist. None keeps all in
        memory.
    key
        By default a new one; a file that was sealed under another one is emptied.

    Raises
    ------
    StoreError
        If the file cannot be used.
    """

    def __init__(self, path: Path | None = None, key: Key | None = None) -> None:
        self._path = path
        self._key = key or new_key()
        with self._guarded(), nullcontext() if path is None else made_private(path):
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file; what waits to be written is forgotten."""
        self._db.close()

    def _set_up(self) -> None:
        for setting in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "synchronous = NORMAL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",
        ):
            self._db.execute(f"PRAGMA {setting}")
        if self._is_ours():
            return
        with self._transaction():
            before = self._number("PRAGMA user_version")
            if not self._is_ours():  # asks again, under the lock
                for table in ("broken", "seen", "file", "form", "source", "lock"):
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _TABLES:
                    self._db.execute(statement)
                lock = seal(self._key, b"", _LOCK)
                self._db.execute("INSERT INTO lock (sealed) VALUES (?)", (lock,))
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        if before:
            self._vacuum()

    def _is_ours(self) -> bool:
        """Tell whether the index is of this version and under this key."""
        if self._number("PRAGMA user_version") != _VERSION:
            return False
        row = self._db.execute("SELECT sealed FROM lock").fetchone()
        try:
            return row is not None and unseal(self._key, row[0], _LOCK) == b""
        except SealError:
            return False

    def _vacuum(self) -> None:
        """Overwrite deleted rows in free pages, unless another process is busy."""
        try:
            self._db.execute("VACUUM")
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise

    def _number(self, query: str, *values: object) -> int:
        return int(self._db.execute(query, values).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as err:
            raise StoreError(
                f"cannot use the index {self._path}: {err}; it may be deleted, and "
                "is made anew"
            ) from err
