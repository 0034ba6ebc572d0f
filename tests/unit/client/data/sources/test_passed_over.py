import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.heic import TURNED
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import NoSamplesError
from fedask.client.data.sources.passed_over import passed_over, shown
from fedask.client.data.sources.source import kind_of
from fedask.common.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as people have them, of three images."""
    made = tmp_path / "data"
    (made / "more").mkdir(parents=True)
    for number in range(3):
        np.save(made / f"{number}.npy", np.full((2, 2), number, dtype=np.uint8))
    for name in ("a.heic", "more/B.HEIC", "list.csv", "x.docx", "y.gz", "README"):
        (made / name).write_bytes(b"")
    for name in (".DS_Store", "c.npy.part", "odd.\x1b[31m", "provenance.csv"):
        (made / name).write_bytes(b"")
    (tmp_path / "other").mkdir()
    (made / "linked").symlink_to(tmp_path / "other")
    return made


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the extras away."""
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setitem(sys.modules, "soundfile", None)


@pytest.mark.usefixtures("bare")
def test_every_file_that_is_no_sample_is_counted(folder: Path) -> None:
    found = passed_over({"data": str(folder), "kind": "images"})

    assert [str(each) for each in found] == [
        "2 .heic: need the extra heic (pip install 'fedask[heic]')",
        "1 linked folders: not followed",
        "1 .csv: data of kind windows, not images",
        "1 .docx: no kind of data",
        "1 .gz: no kind of data",
        "1 hidden: left alone",
        "1 unfinished: still being written, or copies",
        "1 with a strange suffix: no kind of data",
        "1 without a suffix: no kind of data",
    ]
    assert [each.is_loss for each in found] == [True, True, *[False] * 7]
    assert shown(found).endswith("a strange suffix: no kind of data; 1 others")


def test_with_the_extra_they_are_samples(folder: Path) -> None:
    for name in ("a.heic", "more/B.HEIC"):
        (folder / name).write_bytes(TURNED)
    for number in range(3):
        (folder / f"{number}.npy").unlink()
    options = {"data": str(folder), "kind": "images"}

    assert "heic" not in shown(passed_over(options))
    assert look(options, Index()).load(np.arange(2)).shape == (2, 3, 64, 48)


@pytest.mark.usefixtures("bare")
def test_an_extra_that_is_not_there_sets_no_file_aside_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.heic", "more/B.HEIC"):
        (folder / name).write_bytes(TURNED)
    index, options = Index(), {"data": str(folder), "kind": "images"}
    assert len(look(options, index).uids()) == 3

    monkeypatch.undo()
    source = look(options, index)
    named = [*source.broken(), *source.uids().tolist()]
    assert len(named) == 5


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("name", "extra"), [("a.heic", "heic"), ("a.flac", "sounds"), ("a.MP3", "sounds")]
)
def test_data_that_need_an_extra_say_so(tmp_path: Path, name: str, extra: str) -> None:
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(
        NoSamplesError, match=rf"1 {Path(name).suffix.lower()} need .*{extra}"
    ):
        look({"data": str(tmp_path)}, Index())


def test_parts_and_single_files(folder: Path) -> None:
    (folder.parent / "both.toml").write_text(
        """
        [image]
        data = "data"
        kind = "images"
        [note]
        data = "data/list.csv"
        column = "text"
        """
    )
    found = passed_over({"data": str(folder.parent / "both.toml")})

    assert "1 .docx: no kind of data" in shown(found)
    assert passed_over({"data": str(folder / "0.npy")}) == []
    assert passed_over({"data": "", "kind": "sealed"}) == []


def test_a_folder_of_no_kind_says_what_it_holds(tmp_path: Path) -> None:
    for name in ("a.docx", "b.docx", "c"):
        (tmp_path / name).write_bytes(b"")

    with pytest.raises(DataError, match=r"which holds 2 \.docx, 1 other"):
        kind_of(tmp_path, {})
