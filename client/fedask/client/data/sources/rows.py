"""Rows of csv and jsonl files with their places in bytes. Called by their readers.

A row is found again by a seek, so that no file is ever read into memory. Bytes that
are no UTF-8 break their own row alone, a quote that is never closed the rows up to
the limit of a row.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fedask.client.base.regular_file import (
    BrokenSampleError,
    open_regular,
    suffix_of,
)
from fedask.common.registry import nearest

MAX_ROW_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"  # spreadsheets put it before the first column


class Row(NamedTuple):
    """A row of a file.

    Parameters
    ----------
    start, length
        Its place, in bytes.
    line
        Number of its first line, from 1.
    cells
        Of csv: texts. Of jsonl: the one decoded value. None: broken.
    """

    start: int
    length: int
    line: int
    cells: Sequence[Any] | None
    reason: str = ""

    def checked(self) -> Sequence[Any]:
        """Return the cells.

        Raises
        ------
        BrokenSampleError
            With the reason, if the row is broken.
        """
        if self.cells is None:
            raise BrokenSampleError(self.reason)
        return self.cells


class _Lines:
    """Lines of a file, one at a time, and where they begin."""

    def __init__(self, file: BinaryIO, line: int) -> None:
        self._file = file
        self.at = file.tell()
        self.line = line
        self.start = self.at
        self.first = line

    def begin(self) -> None:
        """Begin a row here."""
        self.start, self.first = self.at, self.line

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.at += len(line)
        self.line += line.endswith(b"\n")
        if self.at - self.start > MAX_ROW_BYTES:
            self._to_end_of(line)
            raise BrokenSampleError(
                f"is longer than {MAX_ROW_BYTES} bytes; a quote may not be closed"
            )
        return line.decode("utf-8", "surrogateescape")

    def _to_end_of(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(MAX_ROW_BYTES)
            self.at += len(line)
            self.line += line.endswith(b"\n")


def csv_rows(file: BinaryIO, columns: int) -> Iterator[Row]:
    """Yield the rows of a csv file after its header, which was read already.

    Parameters
    ----------
    columns
        How many cells a row must have.
    """
    lines = _Lines(file, line=2)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        cells: list[str] | None = None
        reason = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, BrokenSampleError) as err:
            reason = (
                str(err) if isinstance(err, BrokenSampleError) else f"is no csv: {err}"
            )
            reader = csv.reader(lines, strict=True)
        if cells == []:
            continue  # an empty line
        if cells is not None and len(cells) != columns:
            reason, cells = f"has {len(cells)} cells for {columns} columns", None
        yield Row(lines.start, lines.at - lines.start, lines.first, cells, reason)


def json_rows(file: BinaryIO) -> Iterator[Row]:
    """Yield the rows of a jsonl file, each with one value."""
    lines = _Lines(file, line=1)
    while True:
        lines.begin()
        try:
            line = next(lines)
            if not line.strip():
                continue
            cells, reason = parse_json(line), ""
        except StopIteration:
            return
        except BrokenSampleError as err:
            cells, reason = None, str(err)
        yield Row(lines.start, lines.at - lines.start, lines.first, cells, reason)


def parse_json(line: str) -> list[Any]:
    """Decode one line of jsonl, into a list of one value."""
    try:
        return [json.loads(line)]
    except (ValueError, RecursionError) as err:
        raise BrokenSampleError(f"is no JSON: {err!s:.80}") from err


def parse_csv(data: bytes) -> list[list[str]]:
    """Decode whole csv rows, as ``csv_rows`` does."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as err:
        raise BrokenSampleError(f"is no csv: {err}") from err


def open_rows(path: Path) -> tuple[BinaryIO, list[str]]:
    """Open a csv or jsonl file at its first row; returns the names of csv columns.

    Raises
    ------
    BrokenSampleError
        If a csv file has no header, or a column twice.
    OSError
        If it cannot be opened.
    """
    file = open_regular(path)
    try:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        if suffix_of(path.name) == ".jsonl":
            return file, []
        return file, _header(file.readline(MAX_ROW_BYTES))
    except BaseException:
        file.close()
        raise


def _header(line: bytes) -> list[str]:
    """Return the names of the columns."""
    rows = parse_csv(line)
    names = rows[0] if rows else []
    if not names or len(set(names)) != len(names) or len(rows) != 1:
        raise BrokenSampleError(
            f"has no header that names each column once, but {names!r:.80}"
        )
    return [checked_text(name) for name in names]


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Return the bytes of a row.

    Raises
    ------
    BrokenSampleError
        If there cannot be one.
    """
    if start < 0 or not 0 < length <= MAX_ROW_BYTES:
        raise BrokenSampleError(f"has no row at {start}")
    file.seek(start)
    return file.read(length)


def column_of(name: str, columns: Sequence[str]) -> int:
    """Return the place of a column.

    Raises
    ------
    BrokenSampleError
        Naming the nearest column, if there is none of this name.
    """
    if name not in columns:
        raise BrokenSampleError(f"has no column {name!r}" + nearest(name, columns))
    return columns.index(name)


def checked_text(text: object, limit: int = MAX_ROW_BYTES) -> str:
    """Return a text that any array of texts can keep.

    Raises
    ------
    BrokenSampleError
        If it is no text, empty, too long, no UTF-8, or ends in what numpy drops.
    """
    if not isinstance(text, str) or not text:
        raise BrokenSampleError("holds no text")
    if len(text) > limit:
        raise BrokenSampleError(f"has {len(text)} characters, more than {limit}")
    if "\0" in text:
        raise BrokenSampleError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise BrokenSampleError("is not UTF-8") from err
    return text
