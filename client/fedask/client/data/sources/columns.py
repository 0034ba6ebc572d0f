"""Which columns of a table are numbers, where the owner names none.

Called by the readers of tables. Formats with types say it themselves. In csv and JSON
the first rows do: a column is one of numbers if most of its cells there are, and none
is a code such as 03373.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.cells import NoNumberError, number_of
from fedask.client.data.sources.reader import COLUMNS
from fedask.client.data.sources.rows import RowFile, told
from fedask.common.errors import ConfigError
from fedask.common.ids import stable_seed

LOOKED_AT_ROWS = 1000
_NUMBER, _CODE, _OTHER = "a number", "codes that begin with zero", "no numbers"
_UNKNOWN = frozenset({"", "na", "n/a", "none", "null", "?", "-"})  # say nothing


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Which columns become numbers.

    Parameters
    ----------
    names
        Of the d columns, in their order.
    left
        Names of the others, to why they are left out.
    """

    names: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What tells these columns from others, for the form of a sample."""
        return f"{COLUMNS}{stable_seed('columns', *self.names) >> 32:08x}"

    def note(self) -> str:
        """Say what was chosen, to the owner."""
        return "; ".join([f"columns {told(self.names)}", *_left_out(self.left)])


def _left_out(left: Mapping[str, str]) -> list[str]:
    """Say which columns are left out, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left.items():
        by_reason.setdefault(reason, []).append(name)
    return [f"left out as {r}: {told(names)}" for r, names in by_reason.items()]


def named_columns(option: str) -> tuple[str, ...]:
    """Read the option ``columns``: names with commas; one with a comma in quotes.

    Raises
    ------
    ConfigError
        If a name is empty, or stands twice.
    """
    if not option:
        return ()
    try:
        (row,) = csv.reader([option], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as err:
        raise ConfigError(f"columns = {option!r}: {err}") from err
    names = tuple(" ".join(name.split()) for name in row)
    if "" in names or len(set(names)) != len(names):
        raise ConfigError(f"columns = {option!r} must name each column once")
    return names


def numeric_columns(
    table: RowFile, but: Collection[str], decimal: str = "."
) -> ColumnChoice:
    """Choose the columns of numbers of csv or JSON.

    Parameters
    ----------
    but
        Names of columns that are something else.
    decimal
        As for ``number_of``.

    Raises
    ------
    BrokenSampleError
        If there is none, or one of them stands twice.
    """
    names = table.names()
    kinds: list[Counter[str]] = [Counter() for _ in names]
    rows = itertools.islice(table.rows(), LOOKED_AT_ROWS)
    count = 0
    for row in rows:
        count += 1
        if row.cells is None:
            continue
        cells = row.cells
        if table.typed:
            cells = list(map(cells.get, names)) if isinstance(cells, dict) else []
        for cell, kind in zip(cells, kinds, strict=False):
            kind[_kind_of(cell, decimal, typed=table.typed)] += 1
    chosen, left = [], {}
    for name, kind in zip(names, kinds, strict=True):
        if name in but:
            continue
        if not name:
            left["(no name)"] = "an index"
        elif kind[_NUMBER] and kind[_NUMBER] >= kind[_OTHER] and not kind[_CODE]:
            chosen.append(name)
        else:
            left[name] = _CODE if kind[_CODE] > kind[_OTHER] else _OTHER
    if not chosen and not count:
        raise BrokenSampleError("has no row")
    return checked_choice(chosen, left)


def checked_choice(chosen: Sequence[str], left: Mapping[str, str]) -> ColumnChoice:
    """Return a choice that can be taken.

    Raises
    ------
    BrokenSampleError
        If there is no column, or one stands twice.
    """
    if not chosen:
        others = _left_out(left)
        raise BrokenSampleError("; ".join(["has no column of numbers", *others]))
    for name, times in Counter(chosen).items():
        if times > 1:
            raise BrokenSampleError(
                f"has {times} columns of numbers {name!r:.80}: rename one, or name "
                "others with columns="
            )
    return ColumnChoice(tuple(chosen), left)


def _kind_of(cell: object, decimal: str, *, typed: bool) -> str:
    """Tell what a cell is, or "" if it says nothing of its column."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        if typed:
            return _OTHER
        if cell.strip().lower() in _UNKNOWN:
            return ""
    try:
        number_of(cell, decimal)
    except NoNumberError as err:
        if err.is_code:
            return _CODE
        return _NUMBER if err.is_number else _OTHER
    return _NUMBER
