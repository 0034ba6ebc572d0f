"""Rows of Parquet: what each type becomes, and what is set aside."""

import decimal
import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.base.regular_file import File, walk
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.parquet import ParquetReader
from fedask.common.errors import ConfigError, DataError

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")


def put(path: Path, columns: dict[str, Any], **options: Any) -> Path:  # noqa: ANN401
    file = path / "t.parquet"
    pq.write_table(pa.table(columns), file, **options)
    return file


def held(file: Path, **options: str) -> tuple[list[Any], list[str]]:
    source = look({"data": str(file), **options}, Index())
    raw: list[Any] = source.load(np.arange(len(source.uids()))).tolist()
    return raw, [reason for _, reason in source.broken()]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, 0], "bool", [1, 0]),
        ([3, 2**24], "int64", [3, 2**24]),
        ([3, 10**10], "uint64", [3, 10**10]),
        ([0.5, -0.0], "halffloat", [0.5, 0]),
        ([0.1, 1e10], "double", [np.float32(0.1), np.float32(1e10)]),
        (list(map(decimal.Decimal, ("1.1", "3"))), "decimal", [1.1, 3]),
        ([7, 7], "dictionary", [7, 7]),
    ],
)
def test_types_of_numbers(
    tmp_path: Path, values: list[Any], kind: str, expected: list[float]
) -> None:
    if kind == "dictionary":
        column = pa.array([*values, None]).dictionary_encode()
    elif kind == "halffloat":
        column = pa.array([*map(np.float16, values), None])
    elif kind == "decimal":
        column = pa.array([*values, None])
    else:
        column = pa.array([*values, None]).cast(kind)
    file = put(tmp_path, {"x": column})

    good, broken = held(file)

    assert good == [[np.float32(number)] for number in expected]
    assert not any(np.signbit(good).ravel())
    assert broken == ["holds nothing in column 'x'"]


WHEN = datetime(2027, 1, 1, tzinfo=UTC)
OTHERS = {
    "when": pa.array([WHEN, WHEN]),
    "day": pa.array([WHEN.date(), WHEN.date()]),
    "zip": pa.array(["03373", "1"]),
    "raw": pa.array([b"03373", b"1"]),
    "list": pa.array([[1.0], [2.0]]),
    "object": pa.array([{"a": 1}, {"a": 2}]),
    "kind": pa.array(["a", "b"]).dictionary_encode(),
    "none": pa.nulls(2),
    "__index_level_0__": pa.array([0, 1]),
}


def test_other_columns_are_left_out_and_said(tmp_path: Path) -> None:
    file = put(tmp_path, {**OTHERS, "x": [1.5, 2.5]})
    source = look({"data": str(file)}, Index())

    assert source.load(np.arange(2)).tolist() == [[1.5], [2.5]]
    assert source.broken() == []
    (note,) = source.notes()
    assert note.startswith("columns 'x'; left out as timestamp[us, tz=UTC]: 'when'; ")
    assert "left out as an index: '__index_level_0__'" in note


@pytest.mark.parametrize("name", sorted(set(OTHERS) - {"zip", "__index_level_0__"}))
def test_a_column_that_is_named_and_holds_no_numbers_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(DataError, match=r"not numbers, in column|what is no number"):
        held(put(tmp_path, OTHERS), columns=name)


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    file = put(tmp_path, OTHERS)

    assert held(file, columns="__index_level_0__, zip")[0] == [[0, 3373], [1, 1]]
    for column in ("zip", "raw"):
        assert held(file, column=column)[0] == ["03373", "1"]
    assert held(file, column="kind")[0] == ["a", "b"]
    with pytest.raises(DataError, match="holds date32\\[day\\], not texts"):
        held(file, column="day")


def test_an_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    meta = b'{"index_columns": ["key", {"kind": "range"}], "columns": []}'
    table = pa.table({"key": [5, 6], "x": [1, 2]})
    pq.write_table(
        table.replace_schema_metadata({b"pandas": meta}), tmp_path / "a.parquet"
    )
    pq.write_table(
        table.replace_schema_metadata({b"pandas": b"{"}), tmp_path / "b.parquet"
    )

    assert held(tmp_path / "a.parquet")[0] == [[1], [2]]
    assert held(tmp_path / "b.parquet")[0] == [[5, 1], [6, 2]]


def test_a_bad_cell_breaks_its_row_alone(tmp_path: Path) -> None:
    rows = [float(row) for row in range(60)]
    ints = [2**24 + row if row in {7, 8, 9} else row for row in range(60)]
    whole = [None if row == 11 else row for row in range(60)]
    texts = ["?" if row == 13 else str(row) for row in range(60)]
    rows[3], rows[4], rows[5] = np.nan, np.inf, 1e39
    file = put(tmp_path, {"a": rows, "b": ints, "c": whole, "d": texts})

    good, broken = held(file, columns="a,b,c,d")

    assert [row[0] for row in good] == [
        row for row in range(60) if row not in {3, 4, 5, 7, 9, 11, 13}
    ]  # 2**24 + 8 is a float32
    assert [reason.partition(" in column")[0] for reason in broken] == [
        *["holds NaN or infinity"] * 2,
        "holds more than float32 can hold",
        *["holds an integer that float32 would round"] * 2,
        "holds nothing",
        "holds what is no number",
    ]


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY"])
def test_texts(tmp_path: Path, encoding: str, *, use_dictionary: bool) -> None:
    if use_dictionary and encoding != "PLAIN":
        options: dict[str, Any] = {"use_dictionary": ["other"]}
    else:
        options = {"use_dictionary": use_dictionary}
    if not options["use_dictionary"]:
        options["column_encoding"] = {"text": encoding, "other": "PLAIN"}
    texts = [
        "eins",
        None,
        "zwei\0",
        " ",
        "",
        "eins",
        "Größe",
        *(f"{i}" for i in range(9)),
    ]
    file = put(
        tmp_path,
        {"text": texts, "other": texts, "id": list(map(str, range(16)))},
        row_group_size=4,
        **options,
    )

    good, broken = held(file, column="text", id="id")

    assert good == ["eins", "eins", "Größe", *(f"{i}" for i in range(9))]
    assert [reason.partition(" in col")[0] for reason in broken] == [
        "holds no text",
        "holds a NUL character",
        "holds nothing but blanks",
        "holds no text",
    ]


def test_texts_that_are_no_utf8_break_their_rows(tmp_path: Path) -> None:
    array = pa.array([b"gut", b"schl\xe4cht"]).cast(pa.binary())
    file = put(tmp_path, {"text": array})

    good, broken = held(file, column="text")

    assert good == ["gut"]
    assert "is not UTF-8 in column 'text': character 5 is byte 0xE4" in broken[0]


def test_a_few_bytes_of_rows_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedask.client.data.sources.parquet.MAX_GROUP_NUMBERS", 900)
    good, broken = held(put(tmp_path, {"x": np.zeros(1000)}, row_group_size=800))

    assert len(good) == 1000
    assert broken == []
    with pytest.raises(DataError, match="write it with a smaller row_group_size"):
        held(put(tmp_path, {"x": np.zeros(1000)}))


def test_long_texts_that_repeat_are_kept_once(tmp_path: Path) -> None:
    which = pa.array(np.zeros(1 << 20, dtype=np.int32))
    texts = pa.DictionaryArray.from_arrays(which, pa.array(["x" * 100_000]))
    path = put(tmp_path, {"text": texts})  # 100 GB, if each is written out
    (file,) = walk(path, frozenset())
    assert isinstance(file, File)

    places = np.array([[0, 0], [(1 << 20) - 1, 0]])
    (_, first), (_, last) = ParquetReader(column="text").read(file, places)

    assert file.size < 1 << 20
    assert first == last == "x" * 100_000


def test_damage_is_set_aside(tmp_path: Path) -> None:
    content = put(tmp_path, {"x": np.arange(1000.0)}).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-9])
    (tmp_path / "torn.parquet").write_bytes(content[:99] + bytes(500) + content[599:])
    (tmp_path / "none.parquet").write_bytes(b"")
    pq.write_table(pa.table({"x": pa.array([], pa.int8())}), tmp_path / "zero.parquet")

    good, broken = held(tmp_path)

    assert len(good) == 1000
    assert len(broken) == 4


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        held(put(tmp_path, {"x": [1]}), columns="x", column="x")
    with pytest.raises(DataError, match="no column 'y'"):
        held(put(tmp_path, {"x": [1]}), columns="y")
    with pytest.raises(DataError, match="left out as string: 'x'"):
        held(put(tmp_path, {"x": ["a"]}))
