import os
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import INDEX_KEY, LONG_AGO_NS, look

from fedask.client.base.regular_file import (
    Broken,
    BrokenSampleError,
    File,
    open_regular,
    read_whole,
    walk,
)
from fedask.client.data.sources.images import ImageReader
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.reader import FileContents
from fedask.common.errors import DataError, FedaskError

NPY = frozenset({".npy"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "b").mkdir(parents=True)
    for number, name in enumerate(("c.npy", "a.npy", "b/x.NPY", "b/w.npy")):
        with (made / name).open("wb") as file:  # by its path, it would become .npy
            np.save(file, np.array([number]))
    return made


def names(root: Path) -> list[str]:
    return [f.name for f in walk(root, NPY) if isinstance(f, File)]


def refusals(root: Path) -> dict[str, str]:
    return dict(b for b in walk(root, NPY) if isinstance(b, Broken))


def test_files_come_in_the_order_of_names_folder_by_folder(folder: Path) -> None:
    assert names(folder) == ["a.npy", "b/w.npy", "b/x.NPY", "c.npy"]


def test_a_file_is_found_by_itself_whatever_its_suffix(folder: Path) -> None:
    (folder / "a.npy").rename(folder / "a.old")

    assert names(folder / "a.old") == ["a.old"]


@pytest.mark.parametrize(
    "name",
    ["d.npy.part", "d.NPY.tmp", ".d.npy", "~d.npy", "d.npy~", "d.txt", ".git/d.npy"],
)
def test_what_is_temporary_hidden_or_of_another_kind_is_passed_over(
    folder: Path, name: str
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")

    assert len(names(folder)) == 4
    assert refusals(folder) == {}


def test_a_link_within_the_folder_is_another_name(folder: Path) -> None:
    (folder / "link.npy").symlink_to(folder / "b" / "w.npy")

    source = look({"data": str(folder), "kind": "images"}, Index())

    assert len(source.uids()) == 5
    assert len(set(source.uids().tolist())) == 4


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "data-of-others.npy"
    np.save(outside, np.array([9]))
    (folder / "link.npy").symlink_to(outside)
    (folder / "up.npy").symlink_to("../data-of-others.npy")
    (folder / "loop.npy").symlink_to("loop.npy")
    (folder / "gone.npy").symlink_to("nothing.npy")

    said = refusals(folder)

    assert "leads out of the folder" in said["link.npy"]
    assert "leads out of the folder" in said["up.npy"]
    assert set(said) == {"link.npy", "up.npy", "loop.npy", "gone.npy"}
    source = look({"data": str(folder)}, Index())
    assert len(source.uids()) == 4
    assert len(source.broken()) == 4


def test_a_link_to_a_folder_is_not_followed(folder: Path) -> None:
    (folder / "b" / "again").symlink_to(folder)

    assert len(names(folder)) == 4


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    assert len(names(tmp_path / "link")) == 4
    assert refusals(tmp_path / "link") == {}


@pytest.fixture
def peculiar(folder: Path) -> Iterator[Path]:
    os.mkfifo(folder / "pipe.npy")
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s.npy")
        os.chdir(here)
        yield folder


def test_pipes_and_sockets_are_refused_without_waiting(peculiar: Path) -> None:
    (peculiar / "zero.npy").symlink_to("/dev/zero")

    said = refusals(peculiar)

    assert said["pipe.npy"] == "is no regular file"
    assert said["s.npy"] == "is no regular file"
    assert "zero.npy" in said
    with pytest.raises(BrokenSampleError, match="no regular file"):
        open_regular(peculiar / "pipe.npy")  # as if it had just replaced a file


def test_a_link_that_replaces_a_file_is_not_opened(folder: Path) -> None:
    (folder / "a.npy").unlink()
    (folder / "a.npy").symlink_to("c.npy")

    with pytest.raises(OSError, match="symbolic links"):
        open_regular(folder / "a.npy")


def test_no_more_than_the_cap_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.npy"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # takes no space

    with pytest.raises(BrokenSampleError, match="more than 100 bytes"):
        read_whole(huge, 100)
    np.save(tmp_path / "good.npy", np.zeros(3))
    source = look({"data": str(tmp_path)}, Index())
    assert [name for name, _ in source.broken()] == ["huge.npy"]
    assert str(ImageReader.max_bytes) in source.broken()[0].reason


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "c.npy").rename(folder / os.fsdecode(b"\xff\xfe.npy"))

    assert refusals(folder) == {"\\xff\\xfe.npy": "its name is not UTF-8"}
    assert len(look({"data": str(folder)}, Index()).broken()) == 1


def test_names_of_any_language_are_good(folder: Path) -> None:
    (folder / "c.npy").rename(folder / "Größe 世界 'x\" \n.npy")

    assert len(look({"data": str(folder)}, Index()).uids()) == 4


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"cannot read samples from {tmp_path}/gone"):
        list(walk(tmp_path / "gone", NPY))


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with more folders in each other than Python may call."""
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    np.save("x.npy", np.zeros(1))
    yield tmp_path
    Path("x.npy").unlink()
    for _ in range(1200):  # nothing else would get them away
        os.chdir("..")
        Path("d").rmdir()
    os.chdir(here)


def test_a_folder_within_folders_within_folders_is_walked(deep: Path) -> None:
    assert [name.count("/") for name in names(deep)] == [1200]


def test_samples_of_another_form_than_most_are_set_aside(folder: Path) -> None:
    np.save(folder / "odd.npy", np.array([1, 2, 3]))

    source = look({"data": str(folder)}, Index())

    assert len(source.uids()) == 4
    ((name, reason),) = source.broken()
    assert name == "odd.npy"
    assert reason == "is not int64 1 as most others are"
    assert source.load(np.arange(4)).shape == (4, 1)


def test_of_two_forms_as_common_the_first_by_name_is_taken(tmp_path: Path) -> None:
    for order in ((0, 1), (1, 0)):
        folder = tmp_path / str(order)
        folder.mkdir()
        for name, which in zip("ab", order, strict=True):
            np.save(folder / f"{name}.npy", [np.zeros(2), np.zeros(3)][which])
        assert look({"data": str(folder)}, Index()).load(np.arange(1)).shape == (1, 2)


@pytest.mark.parametrize("damage", range(0, 90, 5))
def test_half_an_index_is_refused_or_used_never_trusted(
    folder: Path, tmp_path: Path, damage: int
) -> None:
    path = tmp_path / "index"
    index = Index(path, INDEX_KEY)
    whole = look({"data": str(folder)}, index).uids().tolist()
    index.close()
    content = bytearray(path.read_bytes())
    at = len(content) * damage // 100
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)

    try:
        with closing(Index(path, INDEX_KEY)) as broken:
            source = look({"data": str(folder)}, broken)
            raw = source.load(np.arange(len(source.uids())))
    except FedaskError:
        return
    assert set(source.uids().tolist()) <= set(whole)
    assert len(raw) == len(source.uids())


@pytest.mark.parametrize(
    "lengths", [(15, 16, 4, 8), (16, 32, 4, 8), (32, 32, 4, 16), (32, 32, 8, 8)]
)
def test_columns_of_different_lengths_are_looked_for_anew(
    lengths: tuple[int, int, int, int],
) -> None:
    assert FileContents.of(*(bytes(length) for length in lengths)) is None
    whole = FileContents.of(bytes(32), bytes(32), bytes(8), bytes(16))
    assert whole is not None
    assert len(whole) == 2


def test_an_index_of_another_version_is_made_anew(folder: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", INDEX_KEY)
    before = look({"data": str(folder)}, index).uids().tolist()
    index._db.execute("PRAGMA user_version = 99")
    index.close()

    index = Index(tmp_path / "index", INDEX_KEY)

    assert index._number("SELECT COUNT(*) FROM file") == 0
    assert look({"data": str(folder)}, index).uids().tolist() == before
    index.close()


def test_two_processes_may_use_an_index(folder: Path, tmp_path: Path) -> None:
    one, two = (
        Index(tmp_path / "index", INDEX_KEY),
        Index(tmp_path / "index", INDEX_KEY),
    )

    uids = [look({"data": str(folder)}, index).uids().tolist() for index in (one, two)]
    os.utime(folder / "a.npy", ns=(LONG_AGO_NS, LONG_AGO_NS))
    uids += [look({"data": str(folder)}, index).uids().tolist() for index in (two, one)]

    assert uids[0] == uids[1] == uids[2] == uids[3]
    one.close()
    two.close()


def test_other_options_are_another_source(folder: Path) -> None:
    index = Index()
    np.save(folder / "wide.npy", np.zeros(5))

    kinds = [look({"data": str(folder), "kind": "images"}, index)]
    kinds.append(look({"data": str(folder / "wide.npy"), "kind": "images"}, index))

    assert [len(kind.uids()) for kind in kinds] == [4, 1]


def test_a_source_takes_36_bytes_per_sample_beside_the_uids(tmp_path: Path) -> None:
    count = 50_000
    path = tmp_path / "t.csv"
    path.write_text("x\n" + "".join(f"{number}\n" for number in range(count)))
    with closing(Index(tmp_path / "index", INDEX_KEY)) as index:
        look({"data": str(path)}, index)

    with closing(Index(tmp_path / "index", INDEX_KEY)) as index:
        tracemalloc.start()
        try:
            source = look({"data": str(path)}, index)
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    beside = source.uids().nbytes
    assert beside == 128 * count
    # Arrays that grow keep some room.
    assert kept - beside < 44 * count + 100_000
    # While it is made: the index's own copy, and uids that are not written out yet.
    assert peak - beside < 100 * count + 4_000_000
