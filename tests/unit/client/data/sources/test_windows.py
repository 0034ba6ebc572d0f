import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.rows import MAX_ROW_BYTES, Row
from fedask.client.data.sources.windows import WindowReader, _bounded
from fedask.common.errors import ConfigError, DataError


def held(path: Path, content: str, **options: str) -> tuple[list[object], list[str]]:
    path.write_text(content)
    source = look({"data": str(path), **options}, Index())
    raw: list[object] = source.load(np.arange(len(source.uids()))).tolist()
    return raw, [f"{name}: {reason}" for name, reason in source.broken()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.csv"


def test_columns_are_taken_by_name_and_in_the_order_named(path: Path) -> None:
    assert held(path, "a,b,c\n1,2,x\n3,4,y\n", columns="b, a")[0] == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        # An index of pandas, a line break in a name, an unwanted column twice.
        (',x,"y\n (mm)",note,note\n0,1,2,a,b\n1,3,4,c,d\n', "'x', 'y (mm)'"),
        ("x;y;\n1;2;\n3;4;\n", "'x', 'y'"),
        ("x\ty\n1\t2\n3\t4\n", "'x', 'y'"),
        ("x|when|y\n1|2027-01-01|2\n3|2027-01-02|4\n", "'x', 'y'"),
        ("x,zip,y\n1,03373,2\n3,12345,4\n", "'x', 'y'"),
        ("x,empty,y\n1,,2\n3,,4\n", "'x', 'y'"),
        (",0,1\n0,1,2\n1,3,4\n", "'0', '1'"),
        ("0,1\n1,2\n3,4\n", "'0', '1'"),
    ],
)
def test_columns_of_numbers_are_found(path: Path, content: str, names: str) -> None:
    path.write_text(content)
    source = look({"data": str(path)}, Index())

    assert source.load(np.arange(2)).tolist() == [[1, 2], [3, 4]]
    assert source.broken() == []
    assert source.notes()[0].split("; ")[0] == f"columns {names}"


def test_what_is_left_out_is_said(path: Path) -> None:
    path.write_text(",x,zip,name\n0,1,012,ann\n1,2,345,bob\n")

    (note,) = look({"data": str(path)}, Index()).notes()

    assert note.split("; ") == [
        "columns 'x'",
        "left out as an index: '(no name)'",
        "left out as codes that begin with zero: 'zip'",
        "left out as no numbers: 'name'",
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("16777217", "an integer that float32 would round in column 'b'"),
        ("-9007199254740993", "an integer that float32 would round"),
        ("1e39", "more than float32 can hold"),
        ("9" * 5000, "more than float32 can hold"),
        ("1_000", "what is no number in column 'b': '1_000'"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "what is no number"),
        ("0x10", "what is no number"),
        ("1,5", "has 3 cells for 2 columns"),
        ("1.2.3", "what is no number"),
        ("", "nothing in column 'b'"),
        ("-inf", "NaN or infinity in column 'b'"),
    ],
)
def test_a_number_is_never_another_one(path: Path, cell: str, said: str) -> None:
    good, broken = held(path, f"a,b\n1,2\n3,{cell}\n5,6\n")

    assert good == [[1, 2], [5, 6]]
    assert said in broken[0]


def test_numbers_that_float32_holds_are_kept(path: Path) -> None:
    cells = [
        "16777216",
        "10000000000",
        "-0",
        "-0.0",
        " 7 ",
        "+.5",
        "2.",
        "1E-3",
        "True",
    ]
    rows = "".join(f"{cell},x\n" for cell in cells)

    good, broken = held(path, "a,b\n" + rows, columns="a")

    expected = [2**24, 10**10, 0, 0, 7, 0.5, 2, np.float32(0.001), 1]
    assert good == [[number] for number in expected]
    assert broken == []
    assert len(set(look({"data": str(path), "columns": "a"}, Index()).uids())) == 8


def test_a_code_is_a_number_if_it_is_named(path: Path) -> None:
    assert held(path, "a,b\n1,007\n", columns="b") == ([[7]], [])


def test_a_comma_before_the_fraction_is_read_if_it_is_said(path: Path) -> None:
    content = "a;b\n1,5;2\n3,25;-4,0\n1.5;2\n"

    good, broken = held(path, content, decimal=",")

    assert good == [[1.5, 2], [3.25, -4]]
    assert "what is no number in column 'a': '1.5'" in broken[0]
    with pytest.raises(ConfigError, match="decimal"):
        held(path, content, decimal=";")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1,2\n3,4\n", "no header, but a first row of numbers"),
        ("a,b\nx,y\n", "no column of numbers; left out as no numbers: 'a', 'b'"),
        ("a,b\n", "has no row"),
        ("a,a,b\n1,2,3\n", "has 2 columns of numbers 'a': rename one"),
    ],
)
def test_a_table_that_cannot_be_told_is_refused(
    path: Path, content: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        held(path, content)


def test_files_with_other_columns_are_set_aside(tmp_path: Path) -> None:
    for name, header in (("a", "x,y"), ("b", "x,y"), ("c", "y,x"), ("d", "x,z")):
        (tmp_path / f"{name}.csv").write_text(f"{header}\n{ord(name)},2\n")

    found = look({"data": str(tmp_path)}, Index())
    named = look({"data": str(tmp_path), "columns": "x, y"}, Index())

    assert found.load(np.arange(2)).tolist() == [[97, 2], [98, 2]]
    reason = "has other columns than most files have: name them with columns="
    assert [broken.reason for broken in found.broken()] == [reason] * 2
    assert named.load(np.arange(3)).tolist() == [[97, 2], [98, 2], [2, 99]]
    assert "has no column 'y'" in named.broken()[0].reason


def test_a_name_with_a_comma_is_named_in_quotes(path: Path) -> None:
    content = '"x, in mm",y,z\n1,2,3\n'

    assert held(path, content, columns='z, "x, in mm"')[0] == [[3, 1]]


@pytest.mark.parametrize("end", [".jsonl", ".json"])
def test_windows_in_json(tmp_path: Path, end: str) -> None:
    rows = [
        {"w": 1, "x": 1, "t": "a"},
        {"x": 2, "w": 1, "t": []},
        {"w": 2, "x": True},
        {"w": 2, "x": 4.0},
        {"w": 3, "x": "5"},
        {"w": 4},
    ]
    whole = json.dumps(rows, indent=1)
    lines = "\n".join(map(json.dumps, rows))
    content = whole if end == ".json" else lines

    good, broken = held(tmp_path / f"s{end}", content, window="w", kind="windows")

    assert good == [[[1], [2]], [[1], [4]]]
    missing, short = broken
    assert missing.endswith(" 6: has no field 'x'")
    assert short.endswith(": is not float32 2x1 as most others are")


@pytest.mark.parametrize("cell", ["?", "", "nan", "inf", "-Infinity", "1e39", "x"])
def test_a_row_with_what_is_no_number_is_set_aside(path: Path, cell: str) -> None:
    good, broken = held(path, f"a,b\n1,2\n3,{cell}\n5,6\n")

    assert good == [[1, 2], [5, 6]]
    assert len(broken) == 1
    assert broken[0].startswith("s.csv line 3: holds ")


def test_rows_that_follow_each_other_are_a_window(path: Path) -> None:
    good, broken = held(path, "w,x\na,1\na,2\n\nb,3\nb,4\na,5\na,6\n", window="w")

    assert good == [[[1], [2]], [[3], [4]], [[5], [6]]]
    assert broken == []


def test_windows_of_another_length_are_set_aside(path: Path) -> None:
    good, broken = held(path, "w,x\na,1\na,2\nb,3\nc,5\nc,6\n", window="w")

    assert good == [[[1], [2]], [[5], [6]]]
    assert broken == ["s.csv at 12: is not float32 2x1 as most others are"]


def test_a_broken_step_breaks_its_window(path: Path) -> None:
    good, broken = held(path, "w,x\na,1\na,?\nb,3\nb,4\n", window="w")

    assert good == [[[3], [4]]]
    assert broken[0].startswith("s.csv line 2: holds what is no number")


def test_a_window_without_end_is_not_held_in_memory(path: Path) -> None:
    rows = MAX_ROW_BYTES // 4 + 10
    good, broken = held(path, "w,x\n" + "a,1\n" * rows + "b,2\n", window="w")

    assert good == [[[2]]]
    assert f"more than {MAX_ROW_BYTES} bytes" in broken[0]


def test_no_more_rows_of_a_window_are_held_than_it_may_have() -> None:
    size = MAX_ROW_BYTES // 10
    rows = (Row(at * size, size, at, ["1"]) for at in itertools.count())

    assert len(_bounded(rows)) == 11


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": "a,z"}, "no column 'z'"),
        ({"window": "v"}, "no column 'v'"),
        ({"window": "a", "id": "b"}, "no column of numbers"),
    ],
)
def test_a_missing_column_is_named(
    path: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        held(path, "a,b\n1,2\n", **options)


@pytest.mark.parametrize("columns", ["a,", "a,a", ","])
def test_wrong_columns_are_refused(columns: str) -> None:
    with pytest.raises(ConfigError, match="each column once"):
        WindowReader(columns=columns)
