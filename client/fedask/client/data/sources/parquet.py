"""Rows of Parquet files: numeric columns, or one of text. Needs pyarrow."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import (
    Broken,
    BrokenSampleError,
    File,
    open_regular,
)
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    Raw,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import checked_text, column_of
from fedask.client.data.sources.texts import MAX_CHARACTERS
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

MAX_GROUP_BYTES = 1 << 30  # of the wanted columns of a row group, in memory


@dataclass(frozen=True, kw_only=True)
class ParquetReader(FormatReader):
    """Rows as (d,) float32, or as text.

    Parameters
    ----------
    columns
        Names of the numeric columns, with commas; "" takes all but ``id``.
    column
        Name of the column of texts, instead.
    id
        Column that names the sample, for joined sources.
    """

    columns: str = ""
    column: str = ""
    id: str = ""
    # The last group of rows, by file and number: batches mostly go on in it.
    _kept: dict[tuple[File, int], Any] = field(
        default_factory=dict, repr=False, compare=False
    )

    suffixes: ClassVar[frozenset[str]] = frozenset({".parquet"})

    def __post_init__(self) -> None:
        if self.columns and self.column:
            raise ConfigError(
                "columns= (numbers) and column= (a text) exclude each other"
            )

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        with open_regular(file.path) as opened:
            groups = int(_parquet(opened).num_row_groups)
        for group in range(groups):
            values, keys = self._group(file, group)
            for row in range(len(values)):
                name = f"{file.name} group {group} row {row}"
                key = key_of(keys[row]) if keys is not None else 0
                place = row, group
                yield found_sample(name, place, self._decode, values[row], key)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        for row, group in places.tolist():
            values, _ = self._group(file, group)
            if not 0 <= row < len(values):
                raise BrokenSampleError("has fewer rows")
            yield identified(self._decode(values[row], 0)[0])

    def _decode(self, value: Any, key: int) -> tuple[Raw, int]:  # noqa: ANN401  (of any type)
        return (checked_text(value, MAX_CHARACTERS) if self.column else value), key

    def _group(self, file: File, group: int) -> tuple[Any, list[Any] | None]:
        """Return what the samples of a group of rows hold, and their names."""
        if (file, group) not in self._kept:
            with open_regular(file.path) as opened:
                read = self._read_group(_parquet(opened), group)
            self._kept.clear()
            self._kept[file, group] = read
        kept: tuple[Any, list[Any] | None] = self._kept[file, group]
        return kept

    def _read_group(
        self,
        parquet: Any,  # noqa: ANN401  (pyarrow may be missing)
        group: int,
    ) -> tuple[Any, list[Any] | None]:
        names = list(parquet.schema_arrow.names)
        wanted = self._wanted(names)
        if not 0 <= group < parquet.num_row_groups:
            raise BrokenSampleError("has fewer groups of rows")
        if parquet.metadata.row_group(group).total_byte_size > MAX_GROUP_BYTES:
            raise BrokenSampleError(
                f"has a group of rows of more than {MAX_GROUP_BYTES} bytes"
            )
        try:
            ids = [self.id] if self.id else []
            table = parquet.read_row_group(group, columns=list({*wanted, *ids}))
            keys = table.column(self.id).to_pylist() if self.id else None
            if self.column:
                return table.column(self.column).to_pylist(), keys
            with np.errstate(over="ignore"):  # becomes infinity, and is refused
                columns = [
                    table.column(name).to_numpy().astype(np.float32) for name in wanted
                ]
            return np.stack(columns, axis=1), keys
        except Exception as err:  # pyarrow's, and what is no number
            raise BrokenSampleError(f"cannot be decoded: {err!s:.200}") from err

    def _wanted(self, names: list[str]) -> list[str]:
        """Return the names of the columns of samples."""
        named = [self.column] if self.column else self.columns.split(",")
        wanted = [name.strip() for name in named if name.strip()]
        for name in filter(None, (*wanted, self.id)):
            column_of(name, names)
        return wanted or [name for name in names if name != self.id]


def _parquet(opened: Any) -> Any:  # noqa: ANN401  (pyarrow may be missing)
    """Open a Parquet file."""
    try:
        # Not an import statement: the type checker may not find it either.
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as err:
        raise ConfigError(
            "Parquet needs pyarrow: pip install 'fedask[parquet]'"
        ) from err
    try:
        return parquet.ParquetFile(opened)
    except Exception as err:  # pyarrow's own, whatever the bytes are
        raise BrokenSampleError(f"is no Parquet file: {err!s:.200}") from err
