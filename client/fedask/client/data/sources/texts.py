"""Texts: a column of csv files, a field of jsonl files, or whole ``.txt`` files.

The raw form is the text itself: an array (m,) of str, for the task's own transform,
since how words become numbers is what the fleet learns with, not where they stood.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File, suffix_of
from fedask.client.data.sources.reader import (
    FileReader,
    FormatReader,
    FoundSample,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import (
    Row,
    checked_text,
    column_of,
    csv_rows,
    json_rows,
    open_rows,
    parse_csv,
    parse_json,
    read_at,
)
from fedask.common.ids import Uid

# An array of texts takes four bytes for each character of the longest, for every text
# of a batch: with 4096 samples, 128 MiB at this length.
MAX_CHARACTERS = 1 << 13


@dataclass(frozen=True, kw_only=True)
class TextReader(FormatReader):
    """One text per row of csv or jsonl files.

    Parameters
    ----------
    column
        Name of the column or field; "" takes the only column there is, or a line of
        jsonl that is a string itself.
    id
        Column or field that names the sample, for joined sources.
    """

    column: str = ""
    id: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset({".csv", ".jsonl"})

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        opened, columns = open_rows(file.path)
        with opened:
            self._check(columns)
            jsonl = suffix_of(file.name) == ".jsonl"
            rows = json_rows(opened) if jsonl else csv_rows(opened, len(columns))
            for row in rows:
                name, place = f"{file.name} line {row.line}", (row.start, row.length)
                yield found_sample(name, place, self._decode, row, columns)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        opened, columns = open_rows(file.path)
        jsonl = suffix_of(file.name) == ".jsonl"
        with opened:
            for start, length in places.tolist():
                data = read_at(opened, start, length)
                cells: Sequence[Any]
                if jsonl:
                    cells = parse_json(data.decode("utf-8", "surrogateescape"))
                else:
                    (cells,) = parse_csv(data) or [[]]
                yield identified(self._text(cells, columns))

    def _check(self, columns: Sequence[str]) -> None:
        if columns and not self.column and len(columns) > 1:
            raise BrokenSampleError(
                f"has {len(columns)} columns: say which with column="
            )
        for name in filter(None, (self.column, self.id)):
            if columns:
                column_of(name, columns)

    def _text(self, cells: Sequence[Any], columns: Sequence[str]) -> str:
        return checked_text(_cell(cells, self.column, columns), MAX_CHARACTERS)

    def _decode(self, row: Row, columns: Sequence[str]) -> tuple[str, int]:
        cells = row.checked()
        text = self._text(cells, columns)
        return text, key_of(_cell(cells, self.id, columns)) if self.id else 0


def _cell(cells: Sequence[Any], name: str, columns: Sequence[str]) -> object:
    """Return a cell by its column, or a field of a decoded line."""
    if columns:
        at = columns.index(name) if name else 0
        return cells[at] if at < len(cells) else None
    (value,) = cells
    if not name:
        if isinstance(value, dict):
            raise BrokenSampleError(
                f"has fields, as {next(iter(value), '')!r:.40}: say which with column="
            )
        return value
    if not isinstance(value, dict) or name not in value:
        raise BrokenSampleError(f"has no field {name!r}")
    return value[name]


@dataclass(frozen=True, kw_only=True)
class DocumentReader(FileReader):
    """One text per ``.txt`` file, in UTF-8."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".txt"})
    max_bytes: ClassVar[int] = 4 * MAX_CHARACTERS + 4

    @override
    def decode(self, data: bytes, suffix: str) -> str:
        text = data.decode("utf-8-sig", "surrogateescape")
        return checked_text(text, MAX_CHARACTERS)
