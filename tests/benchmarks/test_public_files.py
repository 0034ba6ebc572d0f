"""The bench of public files tells what is wrong from what is set aside."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.benchmarks.public_files import (
    REFERENCES,
    Outcome,
    Tally,
    look,
    options_of,
)
from tests.support.client.originals import photo
from tests.support.client.wavs import wav

from fedask.client.data.sources.source import kind_of, make_reader
from fedask.common.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for turned in (1, 6, 7):
        (tmp_path / f"turned-{turned}.jpg").write_bytes(photo(32, 24, turned=turned))
    clear = Image.new("RGBA", (9, 9))
    clear.putpixel((4, 4), (0, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "clear.png").read_bytes()[:45])
    (tmp_path / "other.xyz").write_bytes(b"")
    return tmp_path


def outcomes(folder: Path) -> dict[str, Outcome]:
    return {path.stem: look(path, {})[0] for path in sorted(folder.iterdir())}


def test_what_is_read_is_right_and_the_rest_is_counted(folder: Path) -> None:
    assert outcomes(folder) == {
        "clear": Outcome.READ,
        "cut": Outcome.ASIDE,
        "other": Outcome.PASSED,
        "turned-1": Outcome.READ,
        "turned-6": Outcome.READ,
        "turned-7": Outcome.READ,
    }


def test_a_reader_that_errs_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(_: object, data: bytes, __: str) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(data)) as image:
            return np.moveaxis(np.array(image.convert("RGB")), -1, 0)

    reader = make_reader("images", {})
    monkeypatch.setattr(type(reader), "decode", decode)
    found = outcomes(folder)

    assert [name for name in found if found[name] is Outcome.WRONG] == [
        "clear",
        "turned-6",
        "turned-7",
    ]
    assert found["cut"] is Outcome.CRASH


def test_a_tally_counts_by_suffix_and_reason() -> None:
    tally = Tally()
    for name in ("a/b.png", "c.png"):
        tally.add(name, Outcome.ASIDE, "is cut: here")
    tally.add("d.xyz", Outcome.PASSED, "")
    tally.add("e.jpg", Outcome.CRASH, "ValueError()")

    assert tally.bad == 1
    assert [row[0] for row in tally.rows()] == [".jpg", ".png", "all"]
    assert tally.reasons[".png", Outcome.ASIDE, "is cut"] == ["a/b.png", "c.png"]


def test_options_of_readers() -> None:
    assert options_of(["images.white=4095", "texts.column=a=b"]) == {
        "images": {"white": 4095},
        "texts": {"column": "a=b"},
    }
    with pytest.raises(ConfigError, match=r"images\.white=4095"):
        options_of(["white=3"])


def _wav(folder: Path) -> tuple[str, NDArray[np.float32]]:
    path = folder / "tone.wav"
    path.write_bytes(wav(np.array([[100, 300], [-5, 5], [7, 9]], dtype="<i2")))
    return path.name, np.array([200, 0, 8, 0], dtype=np.float32) / np.float32(2**15)


def _readings(folder: Path) -> tuple[str, NDArray[np.float32]]:
    (folder / "log.csv").write_text("a,b\n1,2.5\n3,\n-0,1e3\n")
    return "log.csv", np.array([[1, 2.5], [0, 1000]], dtype=np.float32)


def _table(folder: Path) -> tuple[str, NDArray[np.float32]]:
    columns = {"a": [1, None, 3], "b": [0.5, 1.5, 2.5], "c": ["x", "y", "z"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "t.parquet")
    return "t.parquet", np.array([[1, 0.5], [3, 2.5]], dtype=np.float32)


@pytest.mark.parametrize("made", [_wav, _readings, _table])
def test_a_reference_tells_one_number_that_is_wrong(
    tmp_path: Path, made: Callable[[Path], tuple[str, NDArray[np.float32]]]
) -> None:
    name, right = made(tmp_path)
    kind = kind_of(tmp_path / name, {})
    reader = make_reader(kind, {"frames": 4} if kind == "sounds" else {})
    wrong = right.copy()
    wrong.flat[-2] += 0.01
    check = REFERENCES[kind]

    assert look(tmp_path / name, {}) == (Outcome.READ, "")
    for values, told in ((right, False), (wrong, True)):
        samples = [values] if kind == "sounds" else list(values)
        assert bool(check(tmp_path / name, samples, {}, reader)) is told


def test_a_reference_tells_a_text_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text('id,text\n1,"the lamp of bed 1, broken"\n2,another long remark\n')
    reader = make_reader("texts", {"column": "text"})
    check = REFERENCES["texts"]

    assert look(path, {}) == (Outcome.READ, "")
    right = ["the lamp of bed 1, broken", "another long remark"]
    assert not check(path, right, {"column": "text"}, reader)
    assert check(path, [*right, right[0]], {"column": "text"}, reader)
