"""Reads the rows of a CSV file, as spreadsheets write it: line by line, never whole.

Called by ``csv_table``. Comma, semicolon or tab; UTF-8, UTF-16 with its mark, or the
encoding that is said; rows without a word, and cells beyond the header, mean nothing.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from fedask.client.labelling.labelstudio.capped_file import open_capped
from fedask.common.errors import ConfigError, DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = ",;\t"
_SAYS = "sep="  # the first line that some spreadsheets write


class CsvRows:
    """The rows of an open file; each loop over them begins at the first.

    Parameters
    ----------
    path
        For messages.
    most
        Characters that may be read.
    """

    def __init__(self, lines: TextIO, path: Path, most: int) -> None:
        self._lines = lines
        self._path = path
        self._most = most

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line number and cells of each row that is not blank.

        Raises
        ------
        DataError
            If it is no CSV from some line on.
        """
        self._lines.seek(0)
        rows = csv.reader(self._limited(), delimiter=self._separator(), strict=True)
        self._lines.seek(0)
        try:
            for row in rows:
                says = rows.line_num == 1 and row[0:1] and row[0].startswith(_SAYS)
                if not says and any(cell.strip() for cell in row):
                    yield rows.line_num, row
        except (csv.Error, OSError) as err:
            reason = err if isinstance(err, csv.Error) else type(err).__name__
            raise DataError(
                f"{self._path} line {rows.line_num} cannot be read: {reason}"
            ) from err

    def _limited(self) -> Iterator[str]:
        """Yield lines until more was read than the file may have."""
        read = 0
        for line in iter(self._lines.readline, ""):
            read += len(line)
            if read > self._most:
                raise csv.Error(
                    f"it grew beyond {self._most} characters while it was read"
                )
            yield line

    def _separator(self) -> str:
        """Return what parts the cells of the header."""
        for line in iter(self._lines.readline, ""):
            if line.startswith(_SAYS) and len(line.strip("\r\n")) == len(_SAYS) + 1:
                return line[len(_SAYS)]
            if line.strip(_SEPARATORS + '\r\n "'):
                return max(_SEPARATORS, key=line.count)
        return ","


@contextmanager
def open_rows(path: Path, most: int, encoding: str = "") -> Iterator[CsvRows]:
    """Open a file, if it is no larger than ``most`` bytes, and text.

    Parameters
    ----------
    encoding
        As Python names it ("cp1252"); "": UTF-8, or what a byte order mark says.

    Raises
    ------
    ConfigError
        If there is no such encoding.
    DataError
        If the file cannot be opened, is too large, or not in this encoding: with line
        and byte.
    """
    with open_capped(path, most) as file:
        found = _encoding(file, encoding)
        _check_text(file, path, found)
        with closing(io.TextIOWrapper(file, encoding=found, newline="")) as lines:
            yield CsvRows(lines, path, most)


def _encoding(file: BinaryIO, given: str) -> str:
    head = file.read(4)
    for mark, marked in _MARKS:
        if head.startswith(mark):
            return marked
    try:
        return codecs.lookup(given or "utf-8").name
    except LookupError as err:
        raise ConfigError(f"encoding {given!r:.40} is unknown: cp1252, utf-8") from err


def _check_text(file: BinaryIO, path: Path, encoding: str) -> None:
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    for number, line in enumerate(file, start=1):
        try:
            decoder.decode(line)
        except UnicodeDecodeError as err:
            # Not the text of the error: it quotes what stands there.
            raise DataError(
                f"{path} line {number}, byte {err.start + 1} is no {encoding}: save it "
                'as "CSV UTF-8", or say its encoding (--encoding cp1252)'
            ) from err
    file.seek(0)


def names_of(header: Sequence[str]) -> list[str]:
    """Return the names of the columns, without the empty ones at the end."""
    names = [cell.strip().lower() for cell in header]
    while names and not names[-1]:
        names.pop()
    return names
