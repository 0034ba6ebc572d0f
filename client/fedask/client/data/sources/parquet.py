"""Rows of Parquet files: columns of numbers, or one of texts. Needs pyarrow."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import (
    Broken,
    BrokenSampleError,
    File,
    open_regular,
)
from fedask.client.data.sources.arrow_columns import (
    NumberColumn,
    TextColumn,
    is_binary,
    is_number,
    is_text,
    numbers_in,
    texts_in,
    value_type,
)
from fedask.client.data.sources.cells import checked_text
from fedask.client.data.sources.columns import (
    ColumnChoice,
    checked_choice,
    named_columns,
)
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    Raw,
    found_sample,
    identified,
    key_of,
)
from fedask.client.data.sources.rows import column_of
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

# Of a row group, of which one is in memory. A few bytes may stand for any number of
# equal rows.
MAX_GROUP_BYTES = 1 << 30
MAX_GROUP_NUMBERS = 1 << 27
_INDEX = "__index_level_"  # how pandas names an index without a name


class _Group(NamedTuple):
    """A group of rows: the wanted columns, and what names each row."""

    columns: Sequence[NumberColumn] | TextColumn
    keys: list[Any] | None
    length: int


class FirstColumns(NamedTuple):
    """What the first rows of a file show."""

    numbers: tuple[str, ...]
    texts: dict[str, list[str | None]]


@dataclass(frozen=True, kw_only=True)
class ParquetReader(FormatReader):
    """Rows as (d,) float32, or as text.

    Parameters
    ----------
    columns
        Names of the columns of numbers, with commas; a name with a comma in quotes. ""
        takes all whose type is one of numbers or truth values, but ``id`` and the index
        of pandas. Texts that are named here are read as in csv.
    column
        Name of the column of texts, instead.
    id
        Column that names the sample, for joined sources.
    """

    columns: str = ""
    column: str = ""
    id: str = ""
    # The last group of rows, by file and number: batches mostly go on in it.
    _kept: dict[tuple[File, int], _Group] = field(
        default_factory=dict, repr=False, compare=False
    )

    suffixes: ClassVar[frozenset[str]] = frozenset({".parquet"})

    def __post_init__(self) -> None:
        if self.columns and self.column:
            raise ConfigError(
                "columns= (numbers) and column= (a text) exclude each other"
            )
        named_columns(self.columns)

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        with open_regular(file.path) as opened:
            parquet = self._parquet(opened)
            groups = int(parquet.num_row_groups)
            inferred = not (self.columns or self.column)
            mark = self._choice(parquet).mark if inferred else ""
        for group in range(groups):
            try:
                found = self._group(file, group)
            except BrokenSampleError as err:
                yield Broken(f"{file.name} group {group}", str(err))
                continue
            for row in range(found.length):
                key = key_of(found.keys[row]) if found.keys is not None else 0
                name = f"{file.name} group {group} row {row}"
                sample = found_sample(name, (row, group), self._decode, found, row, key)
                if isinstance(sample, FoundSample):
                    sample = sample._replace(form=sample.form + mark)
                yield sample

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        for row, group in places.tolist():
            found = self._group(file, group)
            if not 0 <= row < found.length:
                raise BrokenSampleError("has fewer rows")
            yield identified(self._decode(found, row, 0)[0])

    @override
    def note(self, file: File) -> str:
        if self.columns or self.column:
            return ""
        with open_regular(file.path) as opened:
            return self._choice(self._parquet(opened)).note()

    def first_columns(self, file: File, rows: int) -> "FirstColumns":
        """Return names of the columns of numbers, and the first texts of the others.

        Raises
        ------
        BrokenSampleError, OSError
            If it cannot be read.
        """
        with open_regular(file.path) as opened:
            parquet = self._parquet(opened)
            schema = parquet.schema_arrow
            names = [name for name in schema.names if schema.names.count(name) == 1]
            texts = [n for n in names if is_text(value_type(schema.field(n).type))]
            try:
                numbers = self._choice(parquet).names
            except BrokenSampleError:
                numbers = ()
            batches = parquet.iter_batches(batch_size=rows, columns=texts)
            found = next(batches, None) if texts else None
            columns = found.to_pydict() if found is not None else {}
            return FirstColumns(numbers, columns)

    def _decode(self, found: _Group, row: int, key: int) -> tuple[Raw, int]:
        if isinstance(found.columns, TextColumn):
            return checked_text(found.columns.text(row), self.column), key
        numbers = [column.number(row) for column in found.columns]
        return np.array(numbers, dtype=np.float32), key

    def _group(self, file: File, group: int) -> _Group:
        """Return what the samples of a group of rows hold, and their names."""
        kept = self._kept.get((file, group))
        if kept is None:
            with open_regular(file.path) as opened:
                kept = self._read_group(self._parquet(opened), group)
            self._kept.clear()
            self._kept[file, group] = kept
        return kept

    def _read_group(
        self,
        parquet: Any,  # noqa: ANN401  (pyarrow may be missing)
        group: int,
    ) -> _Group:
        if not 0 <= group < parquet.num_row_groups:
            raise BrokenSampleError("has fewer groups of rows")
        choice = self._choice(parquet)
        meta = parquet.metadata.row_group(group)
        numbers = meta.num_rows * len(choice.names)
        if meta.total_byte_size > MAX_GROUP_BYTES or numbers > MAX_GROUP_NUMBERS:
            raise BrokenSampleError(
                f"has a group of rows of more than {MAX_GROUP_BYTES} bytes, or "
                f"{MAX_GROUP_NUMBERS} numbers: write it with a smaller row_group_size"
            )
        ids = [self.id] if self.id else []
        try:
            table = parquet.read_row_group(group, columns=[*choice.names, *ids])
            keys = _names(table.column(self.id)) if self.id else None
            columns: Sequence[NumberColumn] | TextColumn
            if self.column:
                columns = texts_in(table.column(self.column))
            else:
                columns = [numbers_in(table.column(n), n) for n in choice.names]
        except BrokenSampleError:
            raise
        except Exception as err:  # pyarrow's, whatever the bytes are
            raise BrokenSampleError(f"cannot be decoded: {err!s:.200}") from err
        return _Group(columns, keys, table.num_rows)

    def _choice(self, parquet: Any) -> ColumnChoice:  # noqa: ANN401  (pyarrow may be missing)
        """Return the columns that are wanted."""
        schema = parquet.schema_arrow
        names = list(schema.names)
        named = (self.column,) if self.column else named_columns(self.columns)
        for name in filter(None, (*named, self.id)):
            column_of(name, names)
        if named:
            return ColumnChoice(named)
        index = _index_of(schema)
        chosen: list[str] = []
        left: dict[str, str] = {}
        for at, name in enumerate(names):
            if name == self.id:
                continue
            if name in index or name.startswith(_INDEX):
                left[name] = "an index"
            elif is_number(schema.field(at).type):
                chosen.append(name)
            else:
                left[name] = f"{schema.field(at).type}"
        return checked_choice(chosen, left)

    def _parquet(self, opened: Any) -> Any:  # noqa: ANN401  (pyarrow may be missing)
        """Open a Parquet file."""
        try:
            # Not an import statement: the type checker may not find it either.
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as err:
            raise ConfigError(
                "Parquet needs pyarrow: pip install 'fedask[parquet]'"
            ) from err
        names = {*named_columns(self.columns), self.column, self.id}
        try:
            meta = parquet.read_metadata(opened)
            file = parquet.ParquetFile(
                opened,
                metadata=meta,
                read_dictionary=_with_dictionary(meta, names),
                page_checksum_verification=True,
            )
            _ = file.schema_arrow
        except Exception as err:  # pyarrow's own, whatever the bytes are
            raise BrokenSampleError(f"is no Parquet file: {err!s:.200}") from err
        return file


def _with_dictionary(meta: Any, names: set[str]) -> list[str]:  # noqa: ANN401  (pyarrow may be missing)
    """Return the columns of texts whose distinct values stand in dictionaries.

    They are kept once: some bytes of a file may stand for millions of long texts.
    """
    found = set[str]()
    mixed = set[str]()  # pyarrow cannot keep these so
    for group in range(meta.num_row_groups):
        chunks = meta.row_group(group)
        for at in range(meta.num_columns):
            chunk = chunks.column(at)
            if chunk.path_in_schema in names and chunk.physical_type == "BYTE_ARRAY":
                encodings = " ".join(chunk.encodings)
                if "DICTIONARY" in encodings:
                    found.add(chunk.path_in_schema)
                if "DELTA" in encodings:
                    mixed.add(chunk.path_in_schema)
    return sorted(found - mixed)


def _index_of(schema: Any) -> set[str]:  # noqa: ANN401  (pyarrow may be missing)
    """Return the columns that pandas wrote as an index, which are no data."""
    try:
        named = (schema.pandas_metadata or {}).get("index_columns", ())
        return {name for name in named if isinstance(name, str)}
    except Exception:  # noqa: BLE001  (whoever wrote the file wrote this, too)
        return set()


def _names(column: Any) -> list[Any]:  # noqa: ANN401  (pyarrow may be missing)
    """Return what names each row."""
    kind = value_type(column.type)
    if not is_text(kind) and not is_binary(kind):
        names: list[Any] = column.to_pylist()
        return names
    texts = texts_in(column)
    return [texts.text(row) for row in range(len(texts.which))]
