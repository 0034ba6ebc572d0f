"""Reads arrays from ``.npy`` and ``.npz`` files, which may be hostile.

Rows are read by a seek, not by a memory map: a file that another program cuts short
while it is mapped would end the process.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any, BinaryIO, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import (
    Broken,
    BrokenSampleError,
    File,
    open_regular,
    suffix_of,
)
from fedask.client.data.sources.reader import (
    FormatReader,
    FoundSample,
    found_sample,
    key_of,
)
from fedask.common.ids import Uid, content_uid

MAX_UNPACKED_BYTES = 1 << 31  # of an array that must be read into memory
MAX_SAMPLE_BYTES = 1 << 28
_MAX_HEADER_BYTES = 1 << 14  # numpy's own limit is 10000 characters
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Header(NamedTuple):
    """What a ``.npy`` file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an array; the file stands at the first number then.

    Raises
    ------
    BrokenSampleError
        If it is no array of plain numbers.
    """
    start = file.tell()
    head = io.BytesIO(
        file.read(_MAX_HEADER_BYTES)
    )  # numpy reads what it claims to have
    try:
        version = np.lib.format.read_magic(head)
        header = Header(*_HEADERS[version](head))
    except Exception as err:  # numpy evaluates the header: anything may come
        raise BrokenSampleError("is no .npy file") from err
    if header.dtype.kind not in "biuf" or any(side < 0 for side in header.shape):
        raise BrokenSampleError(
            f"holds {header.dtype} {header.shape}, not plain numbers"
        )
    file.seek(start + head.tell())
    return header


def decode_npy(data: bytes) -> NDArray[Any]:
    """Return the array of a ``.npy`` file.

    Raises
    ------
    BrokenSampleError
        If it is no array of plain numbers, is empty, or cut short.
    """
    return _whole(io.BytesIO(data))


def _check_length(length: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    # Python's integers never overflow.
    if prod(shape) * dtype.itemsize != length or not length:
        raise BrokenSampleError(f"has {length} bytes for {shape} of {dtype}")


@dataclass(frozen=True, kw_only=True)
class ArrayReader(FormatReader):
    """The rows of a ``.npy`` file, or of an array of an ``.npz`` archive.

    A row's key, for joined sources, is its number, from 0.

    Parameters
    ----------
    array
        Name of the array in an archive.
    """

    array: str = "x"
    # The last array that had to be unpacked: not again for every batch.
    _kept: dict[File, NDArray[Any]] = field(
        default_factory=dict, repr=False, compare=False
    )

    suffixes: ClassVar[frozenset[str]] = frozenset({".npy", ".npz"})

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        for row, sample in enumerate(self._samples(file, None)):
            name, key = f"{file.name} row {row}", key_of(row)
            yield found_sample(name, (row, 0), lambda *both: both, sample, key)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        for sample in self._samples(file, places[:, 0].tolist()):
            yield content_uid(sample), sample

    def _samples(self, file: File, rows: list[int] | None) -> Iterator[NDArray[Any]]:
        """Yield some rows of an array, or all."""
        if file not in self._kept:
            with open_regular(file.path) as opened:
                if suffix_of(file.name) != ".npz":
                    header = read_header(opened)
                    _check_rows(header.shape, header.dtype)
                    _check_length(file.size - opened.tell(), header.shape, header.dtype)
                    if not header.fortran:
                        yield from _by_seek(opened, header, rows)
                        return
                    opened.seek(0)
                unpacked = self._unpacked(opened, suffix_of(file.name))
            self._kept.clear()
            self._kept[file] = unpacked
        kept = self._kept[file]
        for row in range(len(kept)) if rows is None else rows:
            _check_row(row, len(kept))
            yield kept[row]

    def _unpacked(self, opened: BinaryIO, suffix: str) -> NDArray[Any]:
        """Read a whole array; what it claims is checked before it is unpacked."""
        try:
            if suffix != ".npz":
                return _of_rows(_whole(opened))
            with zipfile.ZipFile(opened).open(f"{self.array}.npy") as packed:
                return _of_rows(_whole(packed))
        except BrokenSampleError:
            raise
        except Exception as err:  # an archive may fail in its decompressor, too
            raise BrokenSampleError(
                f"is no archive with an array {self.array!r}: {err!s:.200}"
            ) from err


def _whole(file: IO[bytes]) -> NDArray[Any]:
    """Read an array, but never more of it than its header says."""
    shape, fortran, dtype = read_header(file)
    length = prod(shape) * dtype.itemsize
    if length > MAX_UNPACKED_BYTES:
        raise BrokenSampleError(
            f"has more than {MAX_UNPACKED_BYTES} bytes; use a .npy in C order"
        )
    data = file.read(length + 1)
    _check_length(len(data), shape, dtype)
    flat = np.frombuffer(data, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _of_rows(array: NDArray[Any]) -> NDArray[Any]:
    _check_rows(array.shape, array.dtype)
    return array


def _by_seek(
    opened: BinaryIO, header: Header, rows: list[int] | None
) -> Iterator[NDArray[Any]]:
    start = opened.tell()
    length = prod(header.shape[1:]) * header.dtype.itemsize
    for row in range(header.shape[0]) if rows is None else rows:
        _check_row(row, header.shape[0])
        opened.seek(start + row * length)
        data = opened.read(length)
        if len(data) < length:
            raise BrokenSampleError("is cut short")
        yield np.frombuffer(data, dtype=header.dtype).reshape(header.shape[1:])


def _check_rows(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) < 2:  # noqa: PLR2004  (samples have an axis)
        raise BrokenSampleError(f"has shape {shape}; the first axis must count samples")
    if prod(shape[1:]) * dtype.itemsize > MAX_SAMPLE_BYTES:
        raise BrokenSampleError(
            f"has shape {shape}: samples of more than {MAX_SAMPLE_BYTES} bytes"
        )


def _check_row(row: int, count: int) -> None:
    if not 0 <= row < count:
        raise BrokenSampleError(f"has no row {row}")
