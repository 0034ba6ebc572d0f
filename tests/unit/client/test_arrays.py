from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.sources.arrays import ArraySource, open_npy
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


def test_a_file_is_mapped_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, IMAGES)

    source = open_npy(path)

    assert isinstance(source._samples, np.memmap)
    assert source.uids().tolist() == ArraySource(IMAGES).uids().tolist()
    assert source.load(np.array([4, 1])).tolist() == IMAGES[[4, 1]].tolist()
    with pytest.raises(ValueError, match="read-only"):
        source._samples[0] = 0


def test_uids_are_those_of_the_content_whatever_the_layout(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", IMAGES)
    np.save(tmp_path / "f.npy", np.asfortranarray(IMAGES))

    one, two = (open_npy(tmp_path / name).uids() for name in ("c.npy", "f.npy"))

    assert one.tolist() == two.tolist()


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
    "kind",
    ["missing", "objects", "archive", "text", "nothing", "cut short", "folder"],
)
def test_a_file_that_is_no_array_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pool.npy"
    write(path, kind)

    with pytest.raises(DataError, match=f"cannot read samples from {path}"):
        open_npy(path)


@pytest.mark.parametrize("shape", [(), (7,)])
def test_an_array_that_counts_no_samples_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "pool.npy"
    np.save(path, np.zeros(shape))

    with pytest.raises(DataError, match=f"{path} has shape .* must count samples"):
        open_npy(path)


def test_an_array_of_no_samples_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", np.zeros((0, 3)))

    with pytest.raises(DataError, match="no samples"):
        open_npy(tmp_path / "pool.npy")
