"""A query of a SQLite database that the device's owner names. Read-only.

The first column of the query names a row: a number or text that no other row has.
The others are numbers, or one text.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    Raw,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import MAX_ROW_BYTES, checked_text
from fedask.client.data.sources.texts import MAX_CHARACTERS
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

MAX_COLUMNS = 4096
BUSY_TIMEOUT_S = 10.0
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}


@dataclass(frozen=True, kw_only=True)
class TableReader(FormatReader):
    """Rows of a query as (d,) float32, or as text.

    Parameters
    ----------
    query
        A ``SELECT``; the first column names the row, and should be an integer key:
        a sample is found again by it.
    """

    query: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset({".db", ".sqlite", ".sqlite3"})

    def __post_init__(self) -> None:
        if not self.query.lstrip().upper().startswith(("SELECT", "WITH")):
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
        with _opened(file) as db:
            for key, *values in self._rows(db, self._select):
                name = f"{file.name} row {key!r:.40}"
                yield found_sample(name, (key, 0), self._decode, key, values)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        with _opened(file) as db:
            name = next(self._columns(db)).replace('"', '""')
            # The owner's own query, and a name that SQLite gave: nothing of a sample.
            one = f'SELECT * FROM ({self._select}) WHERE "{name}" = ?'  # noqa: S608  (a constant)
            for key in places[:, 0].tolist():
                row = next(self._rows(db, one, key), None)
                if row is None:
                    raise BrokenSampleError(f"has no row {key}")
                yield identified(self._sample(row[1:]))

    @property
    def _select(self) -> str:
        return self.query.strip().rstrip(";")

    def _columns(self, db: sqlite3.Connection) -> Iterator[str]:
        try:
            found = db.execute(f"SELECT * FROM ({self._select}) LIMIT 0")  # noqa: S608  (a constant)
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise _refused(err) from err
        return (str(column[0]) for column in found.description)

    def _rows(
        self, db: sqlite3.Connection, query: str, *values: int
    ) -> Iterator[tuple[Any, ...]]:
        try:
            yield from db.execute(query, values)
        except (sqlite3.Error, sqlite3.Warning) as err:
            raise _refused(err) from err

    def _decode(self, key: object, values: Sequence[Any]) -> tuple[Raw, int]:
        if not isinstance(key, int):
            raise BrokenSampleError(f"is named by {key!r:.40}, not by an integer")
        return self._sample(values), key_of(key)

    def _sample(self, values: Sequence[Any]) -> Raw:
        if len(values) == 1 and isinstance(values[0], str):
            return checked_text(values[0], MAX_CHARACTERS)
        wrong = [value for value in values if not isinstance(value, (int, float))]
        if wrong or not 0 < len(values) <= MAX_COLUMNS:
            what = type(wrong[0]).__name__ if wrong else f"{len(values)} columns"
            raise BrokenSampleError(
                f"holds {what}, not numbers or one text after the key"
            )
        with np.errstate(over="ignore"):  # becomes infinity, and is refused
            return np.array(values, dtype=np.float64).astype(np.float32)


def _opened(file: File) -> "closing[sqlite3.Connection]":
    """Open a database read-only, with nothing in it executable."""
    uri = f"{file.path.as_uri()}?mode=ro"
    try:
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
    except sqlite3.Error as err:
        raise OSError(f"cannot be opened: {err}") from err
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
    db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return closing(db)


def _refused(err: Exception) -> Exception:
    """Turn an error of SQLite into BrokenSampleError, or OSError if it may pass."""
    msg = f"does not answer the query: {err}"
    code = getattr(err, "sqlite_errorcode", 0) & 0xFF  # without its details
    return OSError(msg) if code in _PASSING else BrokenSampleError(msg)
