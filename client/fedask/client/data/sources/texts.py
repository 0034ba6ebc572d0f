"""Texts: a column of csv, a field of JSON, or whole ``.txt`` files.

The raw form is the text itself: an array (m,) of str, for the task's own transform,
since how words become numbers is what the fleet learns with, not where they stood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File
from fedask.client.data.sources.cells import MAX_TEXT_BYTES, checked_text
from fedask.client.data.sources.reader import (
    FileReader,
    FoundSample,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.row_reader import RowReader, check_encoding
from fedask.client.data.sources.rows import Pick, Row, RowFile, told
from fedask.client.data.sources.text_file import UTF_8, decoded, encoding_of
from fedask.common.ids import Uid


@dataclass(frozen=True, kw_only=True)
class TextReader(RowReader):
    """One text per row of csv or JSON.

    Parameters
    ----------
    delimiter
        Between the cells of csv; "" tells it from the file.
    encoding
        Of the files, as Python names it (``"cp1252"``); "" is UTF-8, or what a byte
        order mark says.
    column
        Name of the column or field; "" takes the only column there is, or values of
        JSON that are texts themselves.
    id
        Column or field that names the sample, for joined sources.
    """

    column: str = ""
    id: str = ""

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        with self._table(file) as table:
            text = self._text(table)
            key = table.pick([_plain(self.id)]) if self.id else None
            for row in table.rows():
                name = f"{file.name} {table.unit} {row.line}"
                place = row.start, row.length
                yield found_sample(name, place, self._decode, row, text, key)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        with self._table(file) as table:
            text = self._text(table)
            for start, length in places.tolist():
                rows = table.cells_at(start, length)
                if not rows:
                    raise BrokenSampleError("ends before")
                yield identified(self._checked(text(rows[0])[0]))

    @override
    def note(self, file: File) -> str:
        with self._table(file) as table:
            name = self._column(table)
        return f"column {name!r:.80}" if name and not self.column else ""

    def _table(self, file: File) -> RowFile:
        return self.opened(file, {_plain(n) for n in (self.column, self.id) if n})

    def _column(self, table: RowFile) -> str | None:
        """Return the column of the texts; None: a value is a text itself."""
        if self.column:
            return _plain(self.column)
        if table.typed:
            return None
        names = table.names()
        named = [name for name in names if name and name != _plain(self.id)]
        if len(named) == 1:
            return named[0]
        if len(names) == 1:
            return names[0]
        raise BrokenSampleError(
            f"has {len(names)} columns: say which with column= ({told(named)})"
        )

    def _text(self, table: RowFile) -> Pick:
        column = self._column(table)
        return _itself if column is None else table.pick([column])

    def _checked(self, cell: object) -> str:
        return checked_text(cell, self.column, self.encoding or UTF_8)

    def _decode(self, row: Row, text: Pick, key: Pick | None) -> tuple[str, int]:
        cells = row.checked()
        (cell,) = text(cells)
        return self._checked(cell), key_of(key(cells)[0]) if key else 0


def _plain(name: str) -> str:
    """Return the name of a column as it is compared."""
    return " ".join(name.split())


def _itself(value: object) -> list[object]:
    """Take a value of JSON as a text."""
    if isinstance(value, dict):
        raise BrokenSampleError(
            f"has fields, as {next(iter(value), '')!r:.40}: say which with column="
        )
    return [value]


@dataclass(frozen=True, kw_only=True)
class DocumentReader(FileReader):
    """One text per ``.txt`` file.

    Parameters
    ----------
    encoding
        Of the files, as Python names it (``"cp1252"``); "" is UTF-8, or what a byte
        order mark says.
    """

    encoding: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset({".txt"})
    max_bytes: ClassVar[int] = MAX_TEXT_BYTES

    def __post_init__(self) -> None:
        check_encoding(self.encoding)

    @override
    def decode(self, data: bytes, suffix: str) -> str:
        encoding = self.encoding or UTF_8
        text = decoded(data, encoding_of(encoding) or UTF_8)
        return checked_text(text, encoding=encoding)
