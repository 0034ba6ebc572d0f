"""Samples in one array: in memory, or on disk and memory-mapped."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.pool import Broken, DataSource
from fedask.client.sources.files import BrokenSampleError, File, suffix_of
from fedask.client.sources.npy import decode_npy
from fedask.client.sources.reader import Found, Reader, check_finite, form_of, key_of
from fedask.common.errors import DataError
from fedask.common.ids import Uid, content_uid


class ArraySource(DataSource):
    """Rows of an array.

    Parameters
    ----------
    samples
        (n, ...) array, in memory or a memory map.
    rows
        (m,) the rows that belong to this device; all by default.
    uids
        (n,) str, if they are known already; computed from the content otherwise.

    Raises
    ------
    DataError
        If there is no sample, or, where uids are computed, a number is not finite.
    """

    def __init__(
        self,
        samples: NDArray[Any],
        rows: NDArray[np.int64] | None = None,
        uids: NDArray[np.str_] | None = None,
    ) -> None:
        self._samples = samples
        self._rows = rows
        count = len(samples) if rows is None else len(rows)
        if count == 0:
            msg = "the device has no samples"
            raise DataError(msg)
        if uids is None:
            mine = range(count) if rows is None else rows.tolist()
            named = (_named(samples, row) for row in mine)
            # Straight into the array: as a list of str they would be there twice.
            self._uids = np.fromiter(named, dtype="<U32", count=count)
        else:
            self._uids = uids if rows is None else uids[rows]

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        if self._rows is not None:
            rows = self._rows[rows]
        first, stop = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        if stop - first == len(rows) and np.array_equal(rows, np.arange(first, stop)):
            # A run of rows, as whole pools are read: twice as fast as one by one.
            return np.array(self._samples[first:stop])
        batch: NDArray[Any] = self._samples[rows]
        return batch


def _named(samples: NDArray[Any], row: int) -> Uid:
    """Name one sample, unless it would only make the model give NaN."""
    sample = samples[row]
    if sample.dtype.kind in "fc" and not np.isfinite(sample).all():
        msg = f"row {row} of the samples holds NaN or infinity"
        raise DataError(msg)
    return content_uid(sample)


def open_npy(path: Path) -> ArraySource:
    """Open a ``.npy`` file of samples without reading it into memory.

    Raises
    ------
    DataError
        If the file is missing, is no ``.npy`` file, holds objects, or is empty.
    """
    try:
        samples = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as err:
        msg = f"cannot read samples from {path}: {err}"
        raise DataError(msg) from err
    if samples.ndim in {0, 1}:
        msg = f"{path} has shape {samples.shape}; the first axis must count samples"
        raise DataError(msg)
    return ArraySource(samples)


MAX_NPZ_BYTES = 1 << 31  # of x in an archive, which is read into memory


@dataclass(frozen=True, kw_only=True)
class ArrayReader(Reader):
    """The rows of a ``.npy`` file, or of an array of an ``.npz`` archive.

    A row's key, for joined sources, is its number, from 0.

    Parameters
    ----------
    array
        Name of the array in an archive.
    """

    array: str = "x"
    # The last array and its stamp: an archive is not unpacked for every batch.
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    suffixes: ClassVar[frozenset[str]] = frozenset({".npy", ".npz"})

    @override
    def scan(self, file: File) -> Iterator[Found | Broken]:
        samples = self._open(file)
        for row in range(len(samples)):
            sample = samples[row]
            try:
                check_finite(sample)
            except BrokenSampleError as err:
                yield Broken(f"{file.name} row {row}", str(err))
            else:
                key = key_of(row)
                yield Found(content_uid(sample), (row, 0), form_of(sample), key)

    @override
    def read(
        self, file: File, places: NDArray[np.int64]
    ) -> Iterator[tuple[Uid, NDArray[Any] | str]]:
        samples = self._open(file)
        for row in places[:, 0].tolist():
            if not 0 <= row < len(samples):
                msg = "has fewer rows"
                raise BrokenSampleError(msg)
            sample = samples[row]
            yield content_uid(sample), sample

    def _open(self, file: File) -> NDArray[Any]:
        if self._kept.get("file") != file:
            self._kept.update(samples=self._opened(file), file=file)
        samples: NDArray[Any] = self._kept["samples"]
        return samples

    def _opened(self, file: File) -> NDArray[Any]:
        try:
            if suffix_of(file.name) == ".npz":
                samples = self._unpacked(file.path)
            else:
                samples = np.lib.format.open_memmap(file.path, mode="r")
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as err:
            msg = f"is no array that can be read: {err}"
            raise BrokenSampleError(msg) from err
        if samples.ndim in {0, 1} or samples.dtype.kind not in "biuf":
            msg = f"holds {samples.dtype} {samples.shape}; the first axis must count "
            msg += "samples of numbers"
            raise BrokenSampleError(msg)
        return samples

    def _unpacked(self, path: Path) -> NDArray[Any]:
        """Read one array of an archive, which may claim to be larger than it is."""
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{self.array}.npy")
            if member.file_size > MAX_NPZ_BYTES:
                msg = f"{self.array} has more than {MAX_NPZ_BYTES} bytes; use a .npy"
                raise ValueError(msg)
            with archive.open(member) as packed:
                unpacked = packed.read(MAX_NPZ_BYTES + 1)
        return decode_npy(unpacked)
