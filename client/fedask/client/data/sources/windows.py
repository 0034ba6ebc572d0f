"""Windows of sensor readings in csv or JSON: a row each, or a row per time step."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File
from fedask.client.data.sources.cells import row_of
from fedask.client.data.sources.columns import (
    ColumnChoice,
    named_columns,
    numeric_columns,
)
from fedask.client.data.sources.reader import (
    FoundSample,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.row_reader import RowReader
from fedask.client.data.sources.rows import (
    MAX_ROW_BYTES,
    Cells,
    Pick,
    Row,
    RowFile,
)
from fedask.common.ids import Uid
from fedask.common.settings import require

_MOST_CHOICES = 4096  # files whose columns are remembered


@dataclass(frozen=True, kw_only=True)
class WindowReader(RowReader):
    """Windows as (d,) float32, or (t, d) with a column that tells windows apart.

    Parameters
    ----------
    delimiter
        Between the cells of csv; "" tells it from the file.
    encoding
        Of the files, as Python names it (``"cp1252"``); "" is UTF-8, or what a byte
        order mark says.
    columns
        Names of the d columns, with commas; a name with a comma in quotes. "" takes
        all columns of numbers: most cells of the first 1,000 rows are, and none is a
        code such as 03373.
    decimal
        What stands before the fraction.
    window
        Column whose value is the same in all t rows of a window, which follow each
        other; "" makes every row a window.
    id
        Column that names the sample, for joined sources; by default ``window``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fedask.client.base.regular_file import walk
    >>> folder = Path(tempfile.mkdtemp())
    >>> log = "hand,x,y" + chr(10) + "1,0,0" + chr(10) + "1,0,1" + chr(10) + "2,5,5"
    >>> written = (folder / "log.csv").write_text(log)
    >>> (file,) = walk(folder, WindowReader.suffixes)
    >>> reader = WindowReader(window="hand", columns="x, y")
    >>> [found.form for found in reader.scan(file)]
    ['float32 2x2', 'float32 1x2']
    """

    columns: str = ""
    decimal: str = "."
    window: str = ""
    id: str = ""
    _choices: dict[File, ColumnChoice] = field(
        default_factory=dict, repr=False, compare=False
    )

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        good = self.decimal in {".", ","}
        require(good, "decimal", self.decimal, 'must be "." or ","')
        named_columns(self.columns)

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        with self._table(file) as table:
            choice = self._choice(file, table)
            mark = "" if self.columns else choice.mark
            marks = table.pick(self._marks())
            taken = _Taken(choice.names, table.pick(choice.names))
            for window in self._windows(table.rows(), marks):
                start = window[0].start
                place = start, window[-1].start + window[-1].length - start
                name = f"{file.name} {table.unit} {window[0].line}"
                found = found_sample(name, place, self._decode, window, taken, marks)
                if isinstance(found, FoundSample):
                    found = found._replace(form=found.form + mark)
                yield found

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        with self._table(file) as table:
            names = self._choice(file, table).names
            taken = _Taken(names, table.pick(names))
            for start, length in places.tolist():
                rows = table.cells_at(start, length)
                if not rows:
                    raise BrokenSampleError("ends before")
                yield identified(self._sample(rows, taken))

    @override
    def note(self, file: File) -> str:
        with self._table(file) as table:
            return "" if self.columns else self._choice(file, table).note()

    def names(self, file: File) -> tuple[str, ...]:
        """Return the names of the columns of numbers of a file.

        Raises
        ------
        BrokenSampleError, OSError
            If it cannot be read.
        """
        with self._table(file) as table:
            return self._choice(file, table).names

    def _table(self, file: File) -> RowFile:
        return self.opened(file, {*named_columns(self.columns), *self._marks()})

    def _marks(self) -> list[str]:
        """Return the columns that tell windows apart and name them."""
        return [" ".join(name.split()) for name in (self.window, self.id) if name]

    def _choice(self, file: File, table: RowFile) -> ColumnChoice:
        """Return the columns of numbers of a file."""
        if self.columns:
            return ColumnChoice(named_columns(self.columns))
        if file not in self._choices:
            if len(self._choices) >= _MOST_CHOICES:
                self._choices.clear()
            chosen = numeric_columns(table, self._marks(), self.decimal)
            self._choices[file] = chosen
        return self._choices[file]

    def _windows(self, rows: Iterator[Row], marks: Pick) -> Iterator[list[Row]]:
        """Group the rows into windows."""
        if not self.window:
            yield from ([row] for row in rows)
            return

        def window_of(row: Row) -> object:
            try:
                return str(marks(row.checked())[0])
            except BrokenSampleError:
                return None

        for _, group in itertools.groupby(rows, window_of):
            yield _bounded(group)

    def _decode(
        self, window: list[Row], taken: "_Taken", marks: Pick
    ) -> tuple[NDArray[np.float32], int]:
        rows = [row.checked() for row in window]
        if window[-1].start + window[-1].length - window[0].start > MAX_ROW_BYTES:
            raise BrokenSampleError(f"is a window of more than {MAX_ROW_BYTES} bytes")
        names = marks(rows[0])
        return self._sample(rows, taken), key_of(names[-1]) if names else 0

    def _sample(self, rows: Sequence[Cells], taken: "_Taken") -> NDArray[np.float32]:
        codes = bool(self.columns)
        steps = [
            row_of(taken.pick(cells), taken.names, self.decimal, codes=codes)
            for cells in rows
        ]
        return np.stack(steps) if self.window else steps[0]


class _Taken(NamedTuple):
    """The columns of numbers, and what takes their cells out of a row."""

    names: tuple[str, ...]
    pick: Pick


def _bounded(rows: Iterator[Row]) -> list[Row]:
    """Return the rows of a window, cut soon after its largest size."""
    window: list[Row] = []
    for row in rows:
        window.append(row)
        if row.start + row.length - window[0].start > MAX_ROW_BYTES:
            break
    return window
