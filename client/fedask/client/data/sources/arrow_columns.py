"""Columns of pyarrow as numbers and as texts, by the rules of cells in any format.

Called by the reader of Parquet. A column is turned at once where that is exact, and a
cell that is no number breaks its own row alone.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.cells import (
    EXACT,
    NoNumberError,
    in_column,
    number_of,
)

Column = Any  # of pyarrow, which may be missing
ColumnType = Any


class NumberColumn(NamedTuple):
    """A column of numbers.

    Parameters
    ----------
    values
        (n,) float32; 0 where a cell is no number.
    reasons
        Row to why its cell is none.
    """

    values: NDArray[np.float32]
    reasons: Mapping[int, str]

    def number(self, row: int) -> np.float32:
        """Return one number.

        Raises
        ------
        BrokenSampleError
            If the cell is none.
        """
        if row in self.reasons:
            raise BrokenSampleError(self.reasons[row])
        number: np.float32 = self.values[row]
        return number


class TextColumn(NamedTuple):
    """A column of texts, each distinct one once.

    Parameters
    ----------
    texts
        Distinct ones; bytes that are no UTF-8 as halves of surrogate pairs.
    which
        (n,) the place in ``texts`` of each row's; -1 if it has none.
    """

    texts: list[str]
    which: NDArray[np.int64]

    def text(self, row: int) -> str | None:
        """Return the text of a row; None: it has none."""
        at = int(self.which[row])
        return None if at < 0 else self.texts[at]


def is_number(kind: ColumnType) -> bool:
    """Tell whether a type is one of numbers or of truth values."""
    types, kind = importlib.import_module("pyarrow.types"), value_type(kind)
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
    )


def numbers_in(column: Column, name: str) -> NumberColumn:
    """Return the numbers of a column.

    Parameters
    ----------
    column
        Of numbers, truth values or texts, with n rows.
    name
        Of the column, for messages.

    Raises
    ------
    BrokenSampleError
        If it is of another type.
    """
    types = importlib.import_module("pyarrow.types")
    kind = value_type(column.type)
    if is_text(kind):
        return _written_numbers(texts_in(column), name)
    if not is_number(kind):
        raise BrokenSampleError(f"holds {kind}, not numbers, in column {name!r:.80}")
    if types.is_dictionary(column.type):
        column = column.cast(kind)
    if types.is_decimal(kind):
        return _one_by_one(column.to_pylist(), np.arange(len(column)), name)
    missing = column.is_null().to_numpy().astype(np.bool_)
    exact = column.fill_null(False) if types.is_boolean(kind) else column.fill_null(0)
    values = exact.to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32) + np.float32(0)
    # Each of these is looked at by itself; the others are as they are.
    doubtful = missing | ~np.isfinite(narrow)
    if types.is_integer(kind):
        doubtful |= (values > EXACT) | (values < -EXACT)
    rows = np.flatnonzero(doubtful)
    cells = column.take(rows).to_pylist() if len(rows) else []
    looked = _one_by_one(cells, rows, name, len(narrow))
    narrow[rows] = looked.values[rows]
    return NumberColumn(narrow, looked.reasons)


def texts_in(column: Column) -> TextColumn:
    """Return the texts of a column.

    Raises
    ------
    BrokenSampleError
        If it is of another type.
    """
    kind = value_type(column.type)
    if not is_text(kind) and not is_binary(kind):
        raise BrokenSampleError(f"holds {kind}, not texts")
    pyarrow = importlib.import_module("pyarrow")
    if kind == column.type:
        column = column.dictionary_encode()
    texts: list[str] = []
    which = []
    for chunk in column.chunks:
        # As bytes: they may be no UTF-8 after all.
        distinct = chunk.dictionary.cast(pyarrow.large_binary()).to_pylist()
        places = chunk.indices.fill_null(-1).to_numpy().astype(np.int64)
        which.append(np.where(places < 0, -1, places + len(texts)))
        texts += [(each or b"").decode("utf-8", "surrogateescape") for each in distinct]
    return TextColumn(texts, np.concatenate(which) if which else np.zeros(0, np.int64))


def _written_numbers(column: TextColumn, name: str) -> NumberColumn:
    """Read numbers that are stored as texts, as in csv."""
    cells: list[str | None] = [*column.texts, None]  # at -1
    each = _one_by_one(cells, np.arange(len(cells)), name)
    wrong = np.isin(column.which % len(cells), list(each.reasons)).nonzero()[0].tolist()
    reasons = {row: each.reasons[int(column.which[row]) % len(cells)] for row in wrong}
    return NumberColumn(each.values[column.which], reasons)


def _one_by_one(
    cells: list[Any], rows: NDArray[np.int64], name: str, count: int = 0
) -> NumberColumn:
    """Look at some cells, which stand in these rows."""
    values = np.zeros(count or len(cells), dtype=np.float32)
    reasons = {}
    for row, cell in zip(rows.tolist(), cells, strict=True):
        try:
            values[row] = np.float32(number_of(cell, codes=True)) + np.float32(0)
        except NoNumberError as err:
            reasons[row] = in_column(err, name)
    return NumberColumn(values, reasons)


def value_type(kind: ColumnType) -> ColumnType:
    """Return the type of the values of a column, which may be dictionary-encoded."""
    types = importlib.import_module("pyarrow.types")
    return kind.value_type if types.is_dictionary(kind) else kind


def is_text(kind: ColumnType) -> bool:
    """Tell whether a type is one of texts."""
    types = importlib.import_module("pyarrow.types")
    view = getattr(types, "is_string_view", lambda _: False)
    return bool(types.is_string(kind) or types.is_large_string(kind) or view(kind))


def is_binary(kind: ColumnType) -> bool:
    """Tell whether a type is one of bytes of any length."""
    types = importlib.import_module("pyarrow.types")
    view = getattr(types, "is_binary_view", lambda _: False)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or view(kind))
