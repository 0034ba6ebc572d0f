"""What was found in the files of a device, so that the next process need not look.

One SQLite file beside the device's store, used by ``IndexedSource``. It holds hashes,
places and reasons, never a sample, and may be deleted at any time: it is made anew.
Therefore ``synchronous=NORMAL``, unlike the store, and no WAL: transactions are few and
short, and a file without one needs no care when two processes make it at once.
"""

import sqlite3
from array import array
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fedask.client.pool import Broken
from fedask.client.sources.reader import Found
from fedask.common.errors import StoreError

BUSY_TIMEOUT_MS = 10_000
MAX_BROKEN = 1000  # kept per file; a file of nothing else must not fill the disk
_PENDING_FILES, _PENDING_SAMPLES = 512, 1 << 16  # written at once
_VERSION = 1  # an index of any other is emptied

_TABLES = (
    "CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL) STRICT",
    "CREATE TABLE form (id INTEGER PRIMARY KEY, form TEXT UNIQUE NOT NULL) STRICT",
    """CREATE TABLE file (
        id INTEGER PRIMARY KEY,
        source INTEGER NOT NULL REFERENCES source,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        uids BLOB NOT NULL,
        places BLOB NOT NULL,
        forms BLOB NOT NULL,
        keys BLOB NOT NULL,
        UNIQUE (source, name)
    ) STRICT""",
    """CREATE TABLE broken (
        file INTEGER NOT NULL REFERENCES file ON DELETE CASCADE,
        name TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT""",
    # Files that may still be growing, as they looked the last time.
    """CREATE TABLE seen (
        source INTEGER NOT NULL REFERENCES source,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        PRIMARY KEY (source, name)
    ) WITHOUT ROWID, STRICT""",
    "CREATE INDEX broken_file ON broken (file)",
)
_FIND = """SELECT uids, places, forms, keys FROM file
    WHERE source = ? AND name = ? AND size = ? AND mtime_ns = ?"""
_FIND_ANY = """SELECT uids, places, forms, keys FROM file
    WHERE source = ? AND name = ?"""
_SEEN = "SELECT size, mtime_ns FROM seen WHERE source = ? AND name = ?"
_PUT_SEEN = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)"
_DROP_SEEN = "DELETE FROM seen WHERE source = ? AND name = ?"
_DELETE = "DELETE FROM file WHERE source = ? AND name = ?"
_PUT = """INSERT INTO file (source, name, size, mtime_ns, uids, places, forms, keys)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT_BROKEN = "INSERT INTO broken (file, name, reason) VALUES (?, ?, ?)"
_BROKEN = """SELECT broken.name, reason FROM broken JOIN file ON file = file.id
    WHERE source = ? ORDER BY file.name, broken.rowid"""


@dataclass(slots=True)
class Contents:
    """The samples of a file, or of many, column by column; 40 bytes a sample."""

    uids: bytearray = field(default_factory=bytearray)  # 16 bytes each
    places: "array[int]" = field(default_factory=lambda: array("q"))  # 2 each
    forms: "array[int]" = field(default_factory=lambda: array("i"))  # ids of forms
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    broken: list[Broken] = field(default_factory=list)
    left_out: int = 0  # broken ones beyond MAX_BROKEN

    @classmethod
    def of(
        cls, uids: bytes, places: bytes, forms: bytes, keys: bytes
    ) -> "Contents | None":
        """Return what was kept, or None if the disk did not keep it well."""
        lengths = {len(uids), len(places), 4 * len(forms), 2 * len(keys)}
        if len(lengths) > 1 or len(uids) % 16:
            return None
        contents = cls(uids=bytearray(uids))
        contents.places.frombytes(places)
        contents.forms.frombytes(forms)
        contents.keys.frombytes(keys)
        return contents

    def __len__(self) -> int:
        return len(self.forms)

    def add(self, found: Found, form: int) -> None:
        """Add a sample; ``form`` is the id of its form."""
        self.uids += bytes.fromhex(found.uid)
        self.places.extend(found.place)
        self.forms.append(form)
        self.keys.append(found.key)

    def set_aside(self, broken: Broken) -> None:
        """Add what is of no use."""
        if len(self.broken) < MAX_BROKEN:
            reason = broken.reason.encode("utf-8", "backslashreplace").decode()
            self.broken.append(Broken(broken.name, reason))
        else:
            self.left_out += 1

    def extend(self, other: "Contents") -> None:
        """Add the samples of another, but not what is broken there."""
        self.uids += other.uids
        self.places.extend(other.places)
        self.forms.extend(other.forms)
        self.keys.extend(other.keys)


class Index:
    """What was found, by source, name of the file, size and time of change.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist. None keeps all in
        memory.

    Raises
    ------
    StoreError
        If the file cannot be used; and from every method, if the disk refuses.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._pending: list[tuple[int, str, tuple[int, int], Contents]] = []
        self._pending_samples = 0
        self._looks: list[tuple[int, str, int, int]] = []  # to be noted as seen
        self._forms: dict[str, int] = {}
        with self._guarded():
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    def _set_up(self) -> None:
        for setting in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        ):
            self._db.execute(f"PRAGMA {setting}")
        with self._transaction():
            if self._number("PRAGMA user_version") != _VERSION:
                for table in ("broken", "seen", "file", "form", "source"):
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _TABLES:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def source(self, name: str) -> int:
        """Return the id of a source: its place, kind and options, as text."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (name,))
            return self._number("SELECT id FROM source WHERE name = ?", name)

    def form(self, form: str) -> int:
        """Return the id of a form."""
        if form not in self._forms:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO form (form) VALUES (?)", (form,))
                kept = self._number("SELECT id FROM form WHERE form = ?", form)
            self._forms[form] = kept
        return self._forms[form]

    def forms(self) -> dict[int, str]:
        """Return every form by its id."""
        with self._guarded():
            return dict(self._db.execute("SELECT id, form FROM form").fetchall())

    def find(self, source: int, name: str, stamp: tuple[int, int]) -> Contents | None:
        """Return what was found in a file that has not changed since, or None."""
        with self._guarded():
            row = self._db.execute(_FIND, (source, name, *stamp)).fetchone()
        return None if row is None else Contents.of(*row)

    def find_any(self, source: int, name: str) -> Contents | None:
        """Return what was found in a file before it changed, or None."""
        with self._guarded():
            row = self._db.execute(_FIND_ANY, (source, name)).fetchone()
        return None if row is None else Contents.of(*row)

    def is_seen(self, source: int, name: str, stamp: tuple[int, int]) -> bool:
        """Tell whether a file looked the same before, and note how it looks now.

        The note is on disk after ``flush``.
        """
        with self._guarded():
            before = self._db.execute(_SEEN, (source, name)).fetchone()
        self._looks.append((source, name, *stamp))
        return bool(before == stamp)

    def put(
        self, source: int, name: str, stamp: tuple[int, int], contents: Contents
    ) -> None:
        """Keep what was found in a file, instead of what it held before.

        It is on disk after ``flush`` at the latest.
        """
        self._pending.append((source, name, stamp, contents))
        self._pending_samples += len(contents)
        if (
            len(self._pending) >= _PENDING_FILES
            or self._pending_samples >= _PENDING_SAMPLES
        ):
            self.flush()

    def flush(self) -> None:
        """Write what waits, in one short transaction: others may use the file."""
        if not self._pending and not self._looks:
            return
        with self._transaction() as db:
            db.executemany(_PUT_SEEN, self._looks)
            for source, name, stamp, found in self._pending:
                db.execute(_DELETE, (source, name))
                db.execute(_DROP_SEEN, (source, name))
                columns = (found.places, found.forms, found.keys)
                blobs = [bytes(found.uids), *(column.tobytes() for column in columns)]
                file = db.execute(_PUT, (source, name, *stamp, *blobs)).lastrowid
                broken = list(found.broken)
                if found.left_out:
                    broken.append(Broken(name, f"and {found.left_out} more like these"))
                db.executemany(_PUT_BROKEN, [(file, *each) for each in broken])
        self._pending, self._pending_samples, self._looks = [], 0, []

    def keep(self, source: int, names: AbstractSet[str]) -> None:
        """Forget the files of a source that are not among these names."""
        self.flush()
        with self._transaction() as db:
            count = "SELECT COUNT(*) FROM file WHERE source = ?"
            if self._number(count, source) == len(names):
                return
            kept = db.execute("SELECT name FROM file WHERE source = ?", (source,))
            gone = [(source, n) for (n,) in kept if n not in names]
            db.executemany(_DELETE, gone)
            db.executemany(_DROP_SEEN, gone)

    def forget(self, source: int, name: str) -> None:
        """Look at a file anew the next time."""
        with self._transaction() as db:
            db.execute(_DELETE, (source, name))

    def broken(self, source: int) -> list[Broken]:
        """Return what is broken in the files of a source, in the order of names."""
        self.flush()
        with self._guarded():
            return [Broken(*row) for row in self._db.execute(_BROKEN, (source,))]

    def close(self) -> None:
        """Close the file; what was not flushed is forgotten."""
        self._db.close()

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
            msg = f"cannot use the index {self._path}: {err}; it may be deleted, and "
            msg += "is made anew"
            raise StoreError(msg) from err
