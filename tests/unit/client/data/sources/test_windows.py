import itertools
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
        ({"window": "a", "id": "b"}, "no numeric column"),
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
