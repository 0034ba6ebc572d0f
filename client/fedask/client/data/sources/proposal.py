"""What options a device's data need, told from the first rows. Called by ``init``.

Only proposes: the owner sees what it wrote, and may write something else.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fedask.client.base.regular_file import BrokenSampleError, File, walk
from fedask.client.data.sources.columns import numeric_columns
from fedask.client.data.sources.parquet import ParquetReader
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.row_reader import RowReader
from fedask.client.data.sources.source import kind_of, make_reader
from fedask.client.data.sources.sqlite_table import TableReader, first_query
from fedask.common.errors import ConfigError

_LOOKED_AT_ROWS = 1000
_PROSE = 16  # characters: what is longer on average is text to read, not a name


class _Look(NamedTuple):
    """The first rows of a table, by column."""

    numbers: Sequence[str]
    texts: dict[str, float]  # to their mean length, in characters


def proposed(root: Path, kind: str = "") -> dict[str, str]:
    """Return options that read some data: the kind, and a column of texts or a query.

    Parameters
    ----------
    kind
        That the owner named; "" tells it from the files.

    Raises
    ------
    DataError
        As from ``kind_of``.
    """
    told = kind or kind_of(root, {})
    options = {"kind": told}
    look = {"texts": _rows, "windows": _rows, "parquet": _parquet}.get(told)
    if told == "table":
        options |= _query(root)
    elif look is not None:
        try:
            found = look(_first(root, make_reader(told, {})))
        except (BrokenSampleError, ConfigError, OSError):
            return options  # whatever it is, opening the data says it better
        options |= _options(told, found, named=bool(kind))
    return options


def _options(told: str, found: _Look, *, named: bool) -> dict[str, str]:
    """Choose between the numbers of a table and its longest texts."""
    longest = max(found.texts, key=lambda name: found.texts[name], default="")
    column = {"column": longest} if longest else {}
    if named and told != "parquet":
        return column if told == "texts" else {}
    if longest and (found.texts[longest] >= _PROSE or not found.numbers):
        return column if told == "parquet" else {"kind": "texts", **column}
    return {"kind": "windows"} if found.numbers and told == "texts" else {}


def _first(root: Path, reader: FormatReader) -> tuple[File, FormatReader]:
    for entry in walk(root, reader.suffixes):
        if isinstance(entry, File):
            return entry, reader
    raise BrokenSampleError("holds no file")


def _rows(first: tuple[File, FormatReader]) -> _Look:
    file, reader = first
    if not isinstance(reader, RowReader):
        raise BrokenSampleError("is no table")
    with reader.opened(file) as table:
        names = [name for name in table.names() if name]
        names = [name for name in names if names.count(name) == 1]
        try:
            numbers: Sequence[str] = numeric_columns(table, ()).names
        except BrokenSampleError:
            numbers = ()
        pick = table.pick(names)
        rows = itertools.islice(table.rows(), _LOOKED_AT_ROWS)
        cells = [_picked(pick, row.cells) for row in rows if row.cells is not None]
    return _Look(numbers, _lengths(names, cells, numbers))


def _picked(pick: Any, cells: Any) -> list[Any]:  # noqa: ANN401  (of any form)
    try:
        return list(pick(cells))
    except BrokenSampleError:
        return []


def _lengths(
    names: Sequence[str], rows: Sequence[Sequence[Any]], but: Sequence[str]
) -> dict[str, float]:
    """Return the mean length of the texts in each column that has some."""
    lengths: dict[str, list[int]] = {name: [] for name in names if name not in but}
    for cells in rows:
        for name, cell in zip(names, cells, strict=False):
            if name in lengths and isinstance(cell, str) and cell:
                lengths[name].append(len(cell))
    return {name: sum(each) / len(each) for name, each in lengths.items() if each}


def _parquet(first: tuple[File, FormatReader]) -> _Look:
    file, reader = first
    if not isinstance(reader, ParquetReader):
        raise BrokenSampleError("is no table")
    numbers, texts = reader.first_columns(file, _LOOKED_AT_ROWS)
    rows = list(zip(*texts.values(), strict=True))
    return _Look(numbers, _lengths(list(texts), rows, ()))


def _query(root: Path) -> dict[str, str]:
    reader = TableReader(query="SELECT 1")
    try:
        file, _ = _first(root, reader)
        query = first_query(file)
    except (BrokenSampleError, OSError):
        return {}
    return {"query": query} if query else {}
