"""What kind of data a path holds, and what its owner may say of it."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.client.places import NOW, PLACES, look, put

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import SOURCES, kind_of, make_reader, open_source
from fedask.common.errors import ConfigError, DataError


@pytest.mark.parametrize("name", sorted(PLACES))
def test_the_kind_is_told_from_the_path(name: str, tmp_path: Path) -> None:
    options = put(PLACES[name], tmp_path / "data", range(2))

    assert kind_of(Path(options["data"]), options) == name.partition(" ")[0]


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a.JPG", "b.png", "labels.csv"], "images"),
        (["a.csv", "notes.md"], "windows"),
        (["a.npy"], "images"),
        (["a.wav"], "sounds"),
    ],
)
def test_a_folder_is_of_the_kind_of_its_samples(
    tmp_path: Path, names: list[str], kind: str
) -> None:
    assert kind_of(files(tmp_path, *names), {}) == kind


def test_a_folder_of_several_kinds_is_refused_with_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"say kind= one of images, sounds$"):
        kind_of(files(tmp_path, "a.wav", "b.png"), {})


@pytest.mark.parametrize("names", [["a.xyz"], []])
def test_a_folder_of_no_kind_is_refused_with_all_kinds(
    tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(DataError, match="cannot tell the kind") as caught:
        kind_of(files(tmp_path, *names), {})
    assert all(kind in str(caught.value) for kind in SOURCES)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"kind": "sound"}, DataError, "did you mean 'sounds'"),
        ({"kind": "x"}, DataError, "valid: array, documents, images"),
        ({"kind": "sounds", "frame": 3}, ConfigError, "did you mean 'frames'"),
        ({"kind": "sounds", "frames": "3"}, ConfigError, "must be of type int"),
        ({"kind": "sounds", "frames": True}, ConfigError, "must be of type int"),
        ({"kind": "sounds", "width": 3}, ConfigError, "unknown key 'width'"),
        ({"kind": "array", "_kept": 3}, ConfigError, "unknown key '_kept'"),
        ({"kind": "sounds", "watch": 1}, ConfigError, "watch = 1 must be true"),
        ({"kind": "joined", "frames": 3}, ConfigError, "unknown key 'frames'"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        look({"data": str(tmp_path), **options}, Index())


def test_a_kind_of_ones_own_is_named_in_full(tmp_path: Path) -> None:
    options = put(PLACES["sounds"], tmp_path / "data", range(2))
    kind = "fedask.client.data.sources.sounds:SoundReader"

    look = ScanContext(index=Index(), now=NOW)
    source = open_source({**options, "kind": kind}, look)

    assert len(source.uids()) == 2


@pytest.mark.parametrize("kind", sorted(set(SOURCES) - {"joined", "sealed", "table"}))
def test_a_reader_is_made_without_options(kind: str) -> None:
    assert make_reader(kind, {}).suffixes
