"""What an owner knows samples by: the file, and the name in it."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.client.folders import open_folder, write_app

from fedask.client.records.provenance import NamedSource, SampleName
from fedask.common.ids import Uid, bytes_uid

LEFT = bytes_uid(b"left lung")
RIGHT = bytes_uid(b"right lung")


def names(folder: Path, data: Mapping[str, object]) -> dict[Uid, SampleName]:
    write_app(folder, ["a", "b"])
    with open_folder(folder, {"data": data}) as opened:
        source = opened.open_data()
        assert isinstance(source, NamedSource)
        return source.names({LEFT, Uid("f" * 32)})


def test_rows_have_the_name_that_their_column_says(tmp_path: Path) -> None:
    rows = "scan,text\nA-17,left lung\nA-18,right lung\n"
    (tmp_path / "texts.csv").write_text(rows)
    data = {"data": "texts.csv", "kind": "texts", "column": "text", "id": "scan"}

    assert names(tmp_path, data) == {LEFT: SampleName("texts.csv", "A-17")}


def test_rows_without_one_have_the_name_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\nleft lung\nright lung\n")
    data = {"data": "texts.csv", "kind": "texts", "column": "text"}

    assert names(tmp_path, data) == {LEFT: SampleName("texts.csv", "")}


def test_a_document_is_known_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "notes" / "ward").mkdir(parents=True)
    (tmp_path / "notes" / "ward" / "17.txt").write_text("left lung")
    (tmp_path / "notes" / "18.txt").write_text("right lung")

    found = names(tmp_path, {"data": "notes", "kind": "documents"})

    assert found == {LEFT: SampleName("ward/17.txt", "")}
