"""Csv: rows of cells between delimiters, below a header that names the columns.

Called by ``row_reader``. The delimiter is told from header and first rows. Names of
columns are compared without regard to white space at their ends and to line breaks in
them. Columns without a name (of an index, behind a last delimiter) are nobody's.
"""

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from typing import BinaryIO

from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.cells import NoNumberError, number_of
from fedask.client.data.sources.rows import (
    MAX_ROW_BYTES,
    Cells,
    Lines,
    Pick,
    Row,
    RowFile,
    column_of,
)

DELIMITERS = (",", ";", "\t", "|")  # told apart; ties go to the first
_LOOKED_AT = 1 << 16  # bytes, to tell the delimiter
_LOOKED_AT_ROWS = 50
_SAID = re.compile(r'"?sep=([^\r\n"])"?\r?\n')  # a first line for spreadsheets

# A cell may be as long as a row: 128 KiB by default, for the whole process.
csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))


class CsvFile(RowFile):
    """A csv file.

    Parameters
    ----------
    file
        At its first character.
    delimiter
        Between cells; "" tells it from the file.
    wanted
        Names of columns that must be there, which help to tell.

    Raises
    ------
    BrokenSampleError
        If there is no header.
    """

    def __init__(
        self, file: BinaryIO, delimiter: str = "", wanted: Collection[str] = ()
    ) -> None:
        self.file = file
        start = file.tell()
        look = file.read(_LOOKED_AT).decode("utf-8", "surrogateescape")
        if said := _SAID.match(look):
            start += len(said[0].encode("utf-8", "surrogateescape"))
            look = look[said.end() :]
        self._delimiter = delimiter or (said[1] if said else told_by(look, wanted))
        file.seek(start)
        lines = Lines(file, line=1 if said is None else 2)
        self._names = self._header(lines)
        self._after = lines.at, lines.line

    @override
    def names(self) -> list[str]:
        return self._names

    @override
    def rows(self) -> Iterator[Row]:
        at, line = self._after
        self.file.seek(at)
        lines = Lines(self.file, line)
        reader = self._reader(lines)
        while True:
            lines.begin()
            cells: list[str] | None = None
            reason = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except BrokenSampleError as err:
                reason, reader = str(err), self._reader(lines)
            except csv.Error as err:
                reason, reader = f"is no csv: {err}", self._reader(lines)
            if cells is not None and _is_blank(cells):
                continue
            if cells is not None and len(cells) != len(self._names):
                reason = f"has {len(cells)} cells for {len(self._names)} columns"
                cells = None
            yield lines.row(cells, reason)

    @override
    def decode(self, data: bytes) -> list[Cells]:
        text = data.decode("utf-8", "surrogateescape")
        try:
            rows = list(self._reader(io.StringIO(text, newline="")))
        except csv.Error as err:
            raise BrokenSampleError(f"is no csv: {err}") from err
        return [cells for cells in rows if not _is_blank(cells)]

    @override
    def pick(self, names: Sequence[str]) -> Pick:
        places = [column_of(name, self._names) for name in names]

        def picked(cells: Cells) -> list[str]:
            if len(cells) != len(self._names):
                raise BrokenSampleError("has another number of cells by now")
            return [cells[place] for place in places]

        return picked

    def _reader(self, lines: Iterator[str]) -> "Iterator[list[str]]":
        return csv.reader(lines, strict=True, delimiter=self._delimiter)

    def _header(self, lines: Lines) -> list[str]:
        """Read the names of the columns."""
        try:
            rows = (row for row in self._reader(lines) if any(row))
            cells = next(rows, [])
        except csv.Error as err:
            raise BrokenSampleError(f"has no header: is no csv: {err}") from err
        if not cells:
            raise BrokenSampleError("has no header: it is empty")
        if any("\0" in cell for cell in cells):
            raise BrokenSampleError(
                "has a header with NUL characters: if it is UTF-16, set encoding"
            )
        counted = [str(number) for number in range(len(cells))]  # as pandas names them
        if cells != counted and all(map(_is_number, cells)):
            raise BrokenSampleError(
                "has no header, but a first row of numbers: write names above them"
            )
        return [" ".join(cell.split()) for cell in cells]


def told_by(look: str, wanted: Collection[str] = ()) -> str:
    """Tell the delimiter of a csv file.

    Parameters
    ----------
    look
        The begin of it.
    wanted
        Names of columns that must be there.

    Returns
    -------
    str
        That which gives all wanted columns, then as many cells in most of the first
        rows as in the header, then most columns; a comma if none stands in the header.

    Examples
    --------
    >>> told_by("a;b, in mm;c" + chr(10) + "1;2;3")
    ';'
    """
    ranked = []
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(look, newline=""), delimiter=delimiter)
        try:
            rows = [row for row in itertools.islice(reader, _LOOKED_AT_ROWS) if row]
        except csv.Error:
            rows = []
        if not rows or len(rows[0]) == 1:
            continue
        names = {" ".join(cell.split()) for cell in rows[0]}
        body = rows[1:-1] or rows[1:]  # the last row of a look may be cut
        share = sum(len(row) == len(rows[0]) for row in body) / max(1, len(body))
        ranked.append((names.issuperset(wanted), share, len(rows[0]), delimiter))
    best = max(ranked, key=lambda each: each[:3], default=(True, 1.0, 1, ","))
    return best[3]


def _is_blank(cells: Sequence[str]) -> bool:
    """Tell whether a row is an empty line, or one of delimiters alone."""
    return not cells or (len(cells) > 1 and not any(cells))


def _is_number(cell: str) -> bool:
    try:
        number_of(cell, codes=True)
    except NoNumberError:
        return False
    return True
