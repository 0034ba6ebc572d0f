"""A query of a SQLite database that the device's owner names. Read-only.

The first column of the query names a row: an integer that no other row has, since a
sample is found again by it. The others are numbers, or one text.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File
from fedask.client.data.sources.cells import checked_text, row_of
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    Raw,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import MAX_ROW_BYTES
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

MAX_COLUMNS = 4096
BUSY_TIMEOUT_S = 10.0
# What a comment or a semicolon may stand in without being one, and both.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^]]*] |
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )""",
    re.DOTALL | re.VERBOSE,
)
_TABLES = """SELECT name FROM sqlite_schema
    WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"""
_TABLE_COLUMNS = "SELECT name, type, pk FROM pragma_table_info(?)"
_NUMBERS = re.compile("INT|REAL|FLOA|DOUB|NUM|DEC|BOOL", re.IGNORECASE)
_TEXTS = re.compile("CHAR|CLOB|TEXT", re.IGNORECASE)
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}


@dataclass(frozen=True, kw_only=True)
class TableReader(FormatReader):
    """Rows of a query as (d,) float32, or as text.

    Parameters
    ----------
    query
        A ``SELECT``; the first column is an integer key, by which a sample is found
        again. Rows that share a key are set aside, all of them.
    """

    query: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset({".db", ".sqlite", ".sqlite3"})

    def __post_init__(self) -> None:
        if not self._select.upper().startswith(("SELECT", "WITH", "VALUES")):
            raise ConfigError(
                "a table needs query='SELECT key, column, ... FROM ...', not "  # noqa: S608  (a message)
                f"{self.query!r:.80}"
            )

    @override
    def stamp(self, file: File) -> tuple[int, int]:
        # Until a checkpoint, what is new stands in the log beside the database.
        try:
            log = Path(f"{file.path}-wal").stat()
        except FileNotFoundError:
            return file.size, file.mtime_ns
        return file.size + log.st_size, max(file.mtime_ns, log.st_mtime_ns)

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        checked = False
        with _opened(file) as db:
            names = self._columns(db)
            for key, *values in self._rows(db, self._select):
                name = f"{file.name} row {key!r:.40}"
                place = (key, 0)
                found = found_sample(name, place, self._decode, key, values, names[1:])
                if not checked and isinstance(found, FoundSample):
                    self._check(db, names, found)
                    checked = True
                yield found

    def _check(
        self, db: sqlite3.Connection, names: Sequence[str], found: FoundSample
    ) -> None:
        """Refuse a query whose rows are not found again, as those of ``random()``."""
        key = found.place[0]
        rows = list(islice(self._rows(db, self._one(names[0]), key), 2))
        if len(rows) == 1:
            again, _ = identified(self._sample(rows[0][1:], names[1:]))
            if again == found.uid:
                return
        if len(rows) <= 1:  # a key of several rows is found out with the others
            raise BrokenSampleError(
                f"gives another row {key} when it is asked again: the query must give "
                "the same rows each time, each with a key of its own"
            )

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        with _opened(file) as db:
            names = self._columns(db)
            one = self._one(names[0])
            for key in places[:, 0].tolist():
                row = next(self._rows(db, one, key), None)
                if row is None:
                    raise BrokenSampleError(f"has no row {key}")
                yield identified(self._sample(row[1:], names[1:]))

    def _one(self, key: str) -> str:
        """Return a query of one row, by the name of the key."""
        # The owner's own query, and a name that SQLite gave: nothing of a sample.
        return f"SELECT * FROM ({self._select}) WHERE {_quoted(key)} = ?"  # noqa: S608  (a constant)

    @property
    def _select(self) -> str:
        """The query without comments and the semicolon at its end."""

        def without(token: re.Match[str]) -> str:
            return " " if token["comment"] else token[0]

        return _TOKEN.sub(without, self.query).strip().rstrip("; \t\r\n")

    def _columns(self, db: sqlite3.Connection) -> list[str]:
        try:
            found = db.execute(f"SELECT * FROM ({self._select}) LIMIT 0")  # noqa: S608  (a constant)
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise _refused(err) from err
        return [str(column[0]) for column in found.description]

    def _rows(
        self, db: sqlite3.Connection, query: str, *values: int
    ) -> Iterator[tuple[Any, ...]]:
        try:
            yield from db.execute(query, values)
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise _refused(err) from err

    def _decode(
        self, key: object, values: Sequence[Any], names: Sequence[str]
    ) -> tuple[Raw, int]:
        if not isinstance(key, int):
            raise BrokenSampleError(f"is not named by an integer: {key!r:.40}")
        return self._sample(values, names), key_of(key)

    def _sample(self, values: Sequence[Any], names: Sequence[str]) -> Raw:
        if not 0 < len(values) <= MAX_COLUMNS:
            raise BrokenSampleError(
                f"holds {len(values)} columns, not numbers or one text after the key"
            )
        if len(values) == 1 and isinstance(values[0], str):
            return checked_text(values[0], names[0])
        return row_of(values, names, codes=True)


def first_query(file: File) -> str:
    """Return a query of the only table of a database; "" if there are several.

    Its columns of numbers, or, if there are none, its first of texts.

    Raises
    ------
    BrokenSampleError, OSError
        If it is no database, or cannot be read.
    """
    with _opened(file) as db:
        try:
            tables = db.execute(_TABLES).fetchall()
            columns = [db.execute(_TABLE_COLUMNS, table).fetchall() for table in tables]
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise _refused(err) from err
    if len(tables) != 1:
        return ""
    numbers = [
        name for name, kind, key in columns[0] if _NUMBERS.search(kind) and not key
    ]
    texts = [name for name, kind, key in columns[0] if _TEXTS.search(kind) and not key]
    chosen = [_quoted(name) for name in numbers or texts[:1]]
    return f"SELECT {', '.join(['rowid', *chosen])} FROM {_quoted(tables[0][0])}"  # noqa: S608  (shown to the owner)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _opened(file: File) -> "closing[sqlite3.Connection]":
    """Open a database read-only, with nothing in it executable."""
    uri = f"{file.path.as_uri()}?mode=ro"
    try:
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
    except sqlite3.Error as err:
        raise OSError(f"cannot be opened: {err}") from err
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA temp_store = MEMORY")  # no copy of a sample on the disk
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
    db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return closing(db)


def _refused(err: Exception) -> Exception:
    """Turn an error of SQLite into BrokenSampleError, or OSError if it may pass."""
    msg = f"does not answer the query: {err}"
    code = getattr(err, "sqlite_errorcode", 0) & 0xFF  # without its details
    return OSError(msg) if code in _PASSING else BrokenSampleError(msg)
