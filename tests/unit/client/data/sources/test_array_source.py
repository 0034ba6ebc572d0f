import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.places import look

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.data.sources.index import Index
from fedask.common.errors import DataError
from fedask.common.ids import content_uid

IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)


def test_rows_and_uids_keep_their_order() -> None:
    source = ArraySource(IMAGES)

    assert source.uids().tolist() == [content_uid(image) for image in IMAGES]
    assert source.load(np.array([3, 0])).tolist() == IMAGES[[3, 0]].tolist()


def test_given_uids_are_those_of_the_whole_array() -> None:
    names = np.array([f"{i:032x}" for i in range(5)])

    source = ArraySource(IMAGES, np.array([4, 2]), names)

    assert source.uids().tolist() == [names[4], names[2]]
    assert source.load(np.array([1])).tolist() == [IMAGES[2].tolist()]


@pytest.mark.parametrize("asked", [[1, 2, 3], [3, 2, 1], [1, 3], [1, 3, 2, 4], [4], []])
@pytest.mark.parametrize("mine", [None, [0, 1, 2, 3, 4], [4, 0, 1, 2, 3]])
def test_any_rows_are_loaded_as_an_array_of_their_own(
    asked: list[int], mine: list[int] | None
) -> None:
    images = IMAGES.copy()
    source = ArraySource(images, None if mine is None else np.array(mine))

    batch = source.load(np.array(asked, dtype=np.int64))

    rows = asked if mine is None else [mine[row] for row in asked]
    assert batch.tolist() == IMAGES[rows].tolist()
    batch[:] = 0
    assert np.array_equal(images, IMAGES)


@pytest.mark.parametrize(
    ("samples", "rows"),
    [(IMAGES[:0], None), (IMAGES, np.zeros(0, dtype=np.int64))],
)
def test_a_device_without_samples_is_refused(
    samples: NDArray[np.uint8], rows: NDArray[np.int64] | None
) -> None:
    with pytest.raises(DataError, match="no samples"):
        ArraySource(samples, rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_row(bad: float) -> None:
    samples = np.zeros((4, 3), dtype=np.float32)
    samples[2, 1] = bad

    with pytest.raises(DataError, match=r"row 2 .*NaN or infinity"):
        ArraySource(samples)

    # Only this device's rows matter.
    assert len(ArraySource(samples, rows=np.array([0, 1, 3])).uids()) == 3


def held(path: Path) -> list[Any]:
    source = look({"data": str(path), "kind": "array"}, Index())
    rows: list[Any] = source.load(np.arange(len(source.uids()))).tolist()
    return rows


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_uids_are_those_of_the_content_whatever_the_layout(
    tmp_path: Path, layout: Callable[[Any], Any]
) -> None:
    np.save(tmp_path / "pool.npy", layout(IMAGES))

    source = look({"data": str(tmp_path / "pool.npy")}, Index())

    assert source.uids().tolist() == ArraySource(IMAGES).uids().tolist()
    assert source.load(np.array([4, 1])).tolist() == IMAGES[[4, 1]].tolist()


def test_an_array_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, np.arange(4_000_000, dtype=np.float64).reshape(4, -1))
    tracemalloc.start()
    try:
        source = look({"data": str(path)}, Index())
        raw = source.load(np.array([2]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert raw[0, 0] == 2_000_000
    assert peak < 3.5 * 8_000_000


def test_an_array_that_is_cut_short_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, np.arange(400_000.0).reshape(4, -1))
    source = look({"data": str(path)}, Index())

    with path.open("r+b") as file:
        file.truncate(2_000_000)

    assert source.load(np.array([0])).shape == (1, 100_000)
    with pytest.raises(DataError, match="cut short"):
        source.load(np.array([3]))


def test_rows_that_are_not_finite_are_set_aside(tmp_path: Path) -> None:
    samples = np.zeros((4, 3), dtype=np.float32)
    samples[:, 0] = np.arange(4)
    samples[2, 1] = np.inf
    np.save(tmp_path / "pool.npy", samples)

    assert [row[0] for row in held(tmp_path / "pool.npy")] == [0, 1, 3]


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedask.client.data.sources.npy.MAX_UNPACKED_BYTES", 10_000)
    np.savez_compressed(tmp_path / "pool.npz", x=np.zeros((100, 100)))

    with pytest.raises(DataError, match="more than 10000 bytes"):
        held(tmp_path / "pool.npz")


def test_an_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 21, 1 << 11)}
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as packed,
    ):
        np.lib.format.write_array_header_1_0(packed, header)
        packed.write(bytes(64 << 20))

    tracemalloc.start()
    with pytest.raises(DataError, match="more than 2147483648 bytes"):
        held(tmp_path / "bomb.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 16 << 20


def write(path: Path, kind: str) -> None:
    whole = path.with_name("whole")
    if kind == "objects":
        np.save(path, np.array([{"a": 1}, {}], dtype=object), allow_pickle=True)
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, samples=IMAGES)
    elif kind == "text":
        path.write_text("not an array")
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "cut short":
        with whole.open("wb") as file:
            np.save(file, IMAGES)
        path.write_bytes(whole.read_bytes()[:-3])
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    "kind", ["missing", "objects", "archive", "text", "nothing", "cut short", "folder"]
)
@pytest.mark.parametrize("name", ["pool.npy", "pool.npz"])
def test_a_file_that_is_no_array_is_refused_by_name(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    write(path, kind)

    with pytest.raises(DataError, match=f"{path}"):
        held(path)


@pytest.mark.parametrize("shape", [(), (7,), (0, 3), (3, 0)])
def test_an_array_that_counts_no_samples_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, np.zeros(shape))

    with pytest.raises(DataError, match=f"no samples in {path}"):
        held(path)
