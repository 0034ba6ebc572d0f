from pathlib import Path

import pytest

from fedask.client.labelling.oracles.file_oracle import FileOracle
from fedask.client.labelling.oracles.oracle import SKIP, Nobody
from fedask.client.records.label_queue import Item, ItemState
from fedask.common.errors import DataError
from fedask.common.ids import Uid

CLASSES = ("pneumonia", "fracture", "healthy")
A, B, C, D = (Uid(letter * 32) for letter in "abcd")
WAITING = [Item(uid=uid, state=ItemState.QUEUED, cycle=1) for uid in (A, B, C)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def answers(path: Path, *lines: str, encoding: str = "utf-8") -> dict[Uid, int]:
    path.write_text("".join(line + "\n" for line in lines), encoding=encoding)
    return dict(FileOracle(path, CLASSES).answer(WAITING, 0))


def test_names_become_indices(path: Path) -> None:
    found = answers(path, "uid,label", f"{A},healthy", f"{B},pneumonia")

    assert found == {A: 2, B: 0}


def test_only_waiting_samples_are_answered(path: Path) -> None:
    assert answers(path, "uid,label", f"{D},cat", f"{C},fracture") == {C: 1}


def test_an_empty_label_skips(path: Path) -> None:
    assert answers(path, "uid,label", f"{A},", f'{B},""') == {A: SKIP, B: SKIP}


def test_a_line_that_is_not_written_to_its_end_answers_nothing(path: Path) -> None:
    # Whoever appends may be in the middle of it; a skip could not be taken back.
    assert answers(path, "uid,label", f"{B},healthy", A) == {B: 2}


@pytest.mark.parametrize(
    "header", ["label,uid", "who,label,uid,when", '"label","uid"', "label,uid,extra"]
)
def test_columns_are_found_by_name(path: Path, header: str) -> None:
    cells = {"uid": A, "label": "fracture"}
    line = ",".join(cells.get(name.strip('"'), "x") for name in header.split(","))

    assert answers(path, header, line) == {A: 1}


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(
    path: Path,
) -> None:
    assert answers(path, "uid,label", f"{A},healthy", encoding="utf-8-sig") == {A: 2}


def test_the_file_is_read_anew_each_time(path: Path) -> None:
    oracle = FileOracle(path, CLASSES)
    assert oracle.answer(WAITING, 0) == {}  # not there yet

    path.write_text("uid,label\n")
    assert oracle.answer(WAITING, 1) == {}
    with path.open("a") as file:
        file.write(f"{A},healthy\n")

    assert oracle.answer(WAITING, 2) == {A: 2}


def test_nothing_is_read_when_nothing_waits(path: Path) -> None:
    path.write_text("no csv at all")

    assert FileOracle(path, CLASSES).answer([], 0) == {}


@pytest.mark.parametrize(
    "lines", [["uid"], ["label,x"], ["sample,class"], [], [f"{A},healthy"]]
)
def test_a_missing_column_is_named(path: Path, lines: list[str]) -> None:
    with pytest.raises(DataError, match=f"{path} must have the columns uid,label"):
        answers(path, *lines)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pneumonja", r"did you mean 'pneumonia'\?"),
        ("Healthy", r"did you mean 'healthy'\?"),
        ("xyz", "valid: fracture, healthy, pneumonia"),
        ("2", "valid: fracture, healthy, pneumonia"),
    ],
)
def test_an_unknown_class_names_the_line_and_the_nearest(
    path: Path, name: str, hint: str
) -> None:
    message = f"{path} line 3: '{name}' is not a class of the task .*{hint}"

    with pytest.raises(DataError, match=message):
        answers(path, "uid,label", f"{A},healthy", f"{B},{name}")


@pytest.mark.parametrize("content", [b"uid,label\n\xff\xfe\x00", b"PK\x03\x04\x00\xe9"])
def test_a_file_that_is_no_text_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"cannot read answers from {path}"):
        FileOracle(path, CLASSES).answer(WAITING, 0)


def test_a_folder_is_refused(path: Path) -> None:
    path.mkdir()

    with pytest.raises(DataError, match=f"cannot read answers from {path}"):
        FileOracle(path, CLASSES).answer(WAITING, 0)


@pytest.mark.parametrize("length", [100_000, 2_000_000])
def test_an_endless_cell_is_refused_in_few_words(path: Path, length: int) -> None:
    with pytest.raises(DataError, match=str(path)) as refused:
        answers(path, "uid,label", f"{A}," + "x" * length)
    assert len(str(refused.value)) < 400


def test_nobody_answers_nothing() -> None:
    assert Nobody().answer(WAITING, 3) == {}
