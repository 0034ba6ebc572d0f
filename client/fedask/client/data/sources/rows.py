"""Rows of csv and JSON files with their places in bytes. Called by their readers.

A row is found again by a seek, so that no file is ever read into memory but one that
must be unpacked. A row that is damaged breaks itself alone, a quote that is never
closed the rows up to the limit of a row.
"""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

from fedask.client.base.regular_file import BrokenSampleError
from fedask.common.registry import nearest

MAX_ROW_BYTES = 1 << 20

Cells = Any  # of csv: a list of texts; of JSON: one decoded value
Pick = Callable[[Cells], list[Any]]


class Row(NamedTuple):
    """A row of a file.

    Parameters
    ----------
    start, length
        Its place, in bytes.
    line
        Number of its first line, from 1; of a list in JSON, number of the item.
    cells
        None: broken.
    """

    start: int
    length: int
    line: int
    cells: Cells | None
    reason: str = ""

    def checked(self) -> Cells:
        """Return the cells.

        Raises
        ------
        BrokenSampleError
            With the reason, if the row is broken.
        """
        if self.cells is None:
            raise BrokenSampleError(self.reason)
        return self.cells


class RowFile(Protocol):
    """An open file of rows; closed by ``with``.

    Parameters
    ----------
    file
        UTF-8, at its first character.
    unit
        What ``Row.line`` counts.
    typed
        Whether a text is told from a number.
    """

    file: BinaryIO
    unit: str = "line"
    typed: bool = False

    def names(self) -> list[str]:
        """Return the names of the columns, or of the fields of the first rows."""

    def rows(self) -> Iterator[Row]:
        """Yield all rows, from the first one, each time."""

    def decode(self, data: bytes) -> list[Cells]:
        """Return the cells of the rows that some bytes of the file hold."""

    def pick(self, names: Sequence[str]) -> Pick:
        """Return what takes the cells of some columns out of those of a row.

        Raises
        ------
        BrokenSampleError
            If there is no such column, or two. From the function: if a row has none.
        """

    def cells_at(self, start: int, length: int) -> list[Cells]:
        """Return the cells of the rows at a place.

        Raises
        ------
        BrokenSampleError
            If there cannot be one.
        """
        if start < 0 or not 0 < length <= MAX_ROW_BYTES:
            raise BrokenSampleError(f"has no row at {start}")
        self.file.seek(start)
        return self.decode(self.file.read(length))

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.file.close()


class Lines:
    """Lines of a file from where it stands, and where they begin."""

    def __init__(self, file: BinaryIO, line: int = 1) -> None:
        self._file = file
        self.at = file.tell()
        self.line = line
        self.start = self.at
        self.first = self.line

    def begin(self) -> None:
        """Begin a row here."""
        self.start, self.first = self.at, self.line

    def row(self, cells: Cells | None, reason: str = "") -> Row:
        """Return the row that ends here."""
        return Row(self.start, self.at - self.start, self.first, cells, reason)

    def __iter__(self) -> "Lines":
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


def column_of(name: str, columns: Sequence[str]) -> int:
    """Return the place of a column.

    Raises
    ------
    BrokenSampleError
        Naming the nearest column, if there is none of this name; or if there are two.
    """
    if (count := columns.count(name)) > 1:
        raise BrokenSampleError(f"has {count} columns {name!r:.80}: rename the others")
    if not count:
        named = filter(None, columns)
        raise BrokenSampleError(f"has no column {name!r:.80}" + nearest(name, named))
    return columns.index(name)


def told(names: Sequence[str]) -> str:
    """Write names of columns for a message."""
    shown = ", ".join(f"{name!r:.40}" for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown  # noqa: PLR2004  (as many)
