"""Windows of sensor readings in csv files: a row each, or a row per time step."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import (
    MAX_ROW_BYTES,
    Row,
    column_of,
    csv_rows,
    open_rows,
    parse_csv,
    read_at,
)
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid


@dataclass(frozen=True, kw_only=True)
class WindowReader(FormatReader):
    """Windows as (d,) float32, or (t, d) with a column that tells windows apart.

    Parameters
    ----------
    columns
        Names of the d numeric columns, with commas; "" takes all the others.
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
    >>> [found.form for found in WindowReader(window="hand").scan(file)]
    ['float32 2x2', 'float32 1x2']
    """

    columns: str = ""
    window: str = ""
    id: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset({".csv"})

    def __post_init__(self) -> None:
        named = self._named()
        if "" in named or len(set(named)) != len(named):
            raise ConfigError(f"columns = {self.columns!r} must name each column once")

    def _named(self) -> list[str]:
        names = self.columns.split(",") if self.columns else []
        return [name.strip() for name in names]

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        opened, header = open_rows(file.path)
        with opened:
            numeric = self._numeric(header)
            marks = [column_of(n, header) for n in (self.window, self.id) if n]
            rows = csv_rows(opened, len(header))
            for window in self._windows(rows, marks):
                start = window[0].start
                place = start, window[-1].start + window[-1].length - start
                name = f"{file.name} line {window[0].line}"
                yield found_sample(name, place, self._decode, window, numeric, marks)

    def _windows(
        self, rows: Iterator[Row], marks: Sequence[int]
    ) -> Iterator[list[Row]]:
        """Group the rows into windows."""
        if not self.window:
            yield from ([row] for row in rows)
            return
        groups = itertools.groupby(rows, lambda row: row.cells and row.cells[marks[0]])
        for _, group in groups:
            yield _bounded(group)

    def _decode(
        self, window: list[Row], numeric: Sequence[int], marks: Sequence[int]
    ) -> tuple[NDArray[np.float32], int]:
        rows = [row.checked() for row in window]
        if window[-1].start + window[-1].length - window[0].start > MAX_ROW_BYTES:
            raise BrokenSampleError(f"is a window of more than {MAX_ROW_BYTES} bytes")
        key = key_of(rows[0][marks[-1]]) if marks else 0
        return self._sample(rows, numeric), key

    def _numeric(self, header: Sequence[str]) -> list[int]:
        """Return the places of the numeric columns."""
        names = self._named()
        if names:
            return [column_of(name, header) for name in names]
        others = [i for i, n in enumerate(header) if n not in {self.window, self.id}]
        if not others:
            raise BrokenSampleError("has no numeric column")
        return others

    def _sample(
        self, rows: Sequence[Sequence[Any]], numeric: Sequence[int]
    ) -> NDArray[np.float32]:
        try:
            numbers = [[float(cells[i]) for i in numeric] for cells in rows]
        except (ValueError, IndexError) as err:
            raise BrokenSampleError(f"holds what is no number: {err!s:.80}") from err
        with np.errstate(over="ignore"):  # becomes infinity, and is refused
            sample = np.array(numbers, dtype=np.float32)
        return sample if self.window else sample[0]

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        opened, header = open_rows(file.path)
        with opened:
            numeric = self._numeric(header)
            for start, length in places.tolist():
                rows = [row for row in parse_csv(read_at(opened, start, length)) if row]
                if not rows:
                    raise BrokenSampleError("ends before")
                yield identified(self._sample(rows, numeric))


def _bounded(rows: Iterator[Row]) -> list[Row]:
    """Return the rows of a window, cut soon after its largest size."""
    window: list[Row] = []
    for row in rows:
        window.append(row)
        if row.start + row.length - window[0].start > MAX_ROW_BYTES:
            break
    return window
