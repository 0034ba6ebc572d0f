"""The unlabelled pool of one device: samples by uid. Called by scoring and training.

Never copies the data: it knows uids and rows, and loads a batch at a time. Beside the
source's own uids it holds eight bytes per sample, the order of the uids.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken
from fedask.client.records.original import Originals, originals_of
from fedask.common.errors import DataError
from fedask.common.ids import Uid, hash_uids

__all__ = ["DataSource"]

_PIECE = 4096  # uids looked at together
_FIRST = 64  # samples of a first batch


class DataSource(Protocol):
    """A source of raw samples."""

    def uids(self) -> NDArray[np.str_]:
        """Return the uid of every sample: (n,) str; entry i names row i.

        The pool keeps this array: it must not change.
        """

    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the raw samples of these rows, in their order: (m, ...).

        An array of their own, which the caller may change. Samples of several fields
        are a structured array, texts an array (m,) of str.
        """

    def originals(self, row: int, side: int) -> Originals:  # noqa: ARG002  (the seam's)
        """Return what people see of the sample of a row; by default, what models get.

        Parameters
        ----------
        side
            Images may be given smaller, but with so many pixels at least on their
            longer side; 0: as they are.

        Raises
        ------
        DataError
            If it cannot be read, or is another by now.
        """
        return originals_of(self.load(np.array([row], dtype=np.int64))[0])

    def broken(self) -> list[Broken]:
        """Return the samples that could not be read when the source was opened."""
        return []

    def dropped(self) -> frozenset[Uid]:
        """Return the samples that the source dropped to make room: no fault."""
        return frozenset()

    def notes(self) -> list[str]:
        """Return what an owner should know of how the samples are read."""
        return []


class Pool:
    """The samples of a source, without repetitions.

    Parameters
    ----------
    source
        Two rows with equal content share a uid; the first one stands for both.
    """

    def __init__(self, source: DataSource) -> None:
        self._source = source
        self._uids = source.uids()
        self._rows: NDArray[np.int64] | None = None  # None: every row, in order
        self._order = np.argsort(self._uids, kind="stable")
        if (repeated := self._repeated()).any():
            self._rows = np.sort(self._order[~repeated])
            self._uids = self._uids[self._rows]
            self._order = np.argsort(self._uids, kind="stable")

    def _repeated(self) -> NDArray[np.bool_]:
        """Mark, in sorted order, every sample that an earlier row stands for."""
        repeated = np.zeros(len(self._order), dtype=np.bool_)
        # In pieces: sorted uids all at once would be a copy of 128 bytes a sample.
        for start in range(1, len(repeated), _PIECE):
            rows = self._order[start - 1 : start + _PIECE]
            uids = self._uids[rows]
            repeated[start : start + _PIECE] = uids[1:] == uids[:-1]
        return repeated

    def __len__(self) -> int:
        return len(self._uids)

    @property
    def uids(self) -> NDArray[np.str_]:
        """Uid of every sample, in row order: (n,) str. Not to be changed."""
        return self._uids

    def load(self, uids: Sequence[Uid]) -> NDArray[Any]:
        """Return the raw samples with these uids, in their order.

        Raises
        ------
        DataError
            If a uid is not in the pool.
        """
        return self._source.load(self.rows(uids))

    def originals(self, uid: Uid, side: int) -> Originals:
        """Return what people see of a sample; see ``DataSource.originals``.

        Raises
        ------
        DataError
            If it is not in the pool, or cannot be read.
        """
        return self._source.originals(int(self.rows([uid])[0]), side)

    def rows(self, uids: Sequence[Uid]) -> NDArray[np.int64]:
        """Return the row of each uid in the source: (m,) int64.

        Raises
        ------
        DataError
            If a uid is not in the pool (its sample was changed or removed).
        """
        wanted = np.array(uids, dtype=np.str_)
        places, found = self._find(wanted)
        if not found.all():
            raise DataError(f"sample {wanted[~found][0]} is no longer in the pool")
        return self._rows_at(places)

    @property
    def dropped(self) -> frozenset[Uid]:
        """Samples that the source dropped to make room."""
        return self._source.dropped()

    def has(self, uids: Sequence[Uid]) -> NDArray[np.bool_]:
        """Tell which of these samples are in the pool: (m,)."""
        return self._find(np.array(uids, dtype=np.str_))[1]

    def drawn(self, most: int, salt: int) -> NDArray[np.int64]:
        """Return the places of ``most`` samples chosen by hash, in its order."""
        return np.lexsort((self.uids, hash_uids(self.uids, salt)))[:most]

    def part(self, uids: Iterable[Uid]) -> "Pool":
        """Return the pool of those of these samples that are here."""
        wanted = np.array(sorted(set(uids)), dtype=np.str_)
        _, found = self._find(wanted)
        return Pool(_Part(self, wanted[found]))

    def batches(
        self, exclude: Collection[Uid], size: int, numbers: int | None = None
    ) -> Iterator[tuple[NDArray[np.str_], NDArray[Any]]]:
        """Yield (uids, raw samples), in row order, without the excluded.

        Parameters
        ----------
        exclude
            Uids to leave out; those of no sample do no harm.
        size
            Most samples in a batch.
        numbers
            Most numbers in a batch, if one sample has no more; the first batch is a
            short one, to see how many there are in a sample.
        """
        places, found = self._find(np.array(list(exclude), dtype=np.str_))
        gone = np.unique(places[found])
        step = size if numbers is None else min(size, _FIRST)
        start = 0
        while start < len(self._uids):
            stop = min(start + step, len(self._uids))
            here = slice(*np.searchsorted(gone, (start, stop)))
            part = np.arange(start, stop)
            uids = self._uids[start:stop]  # a view: a copy would take 128 bytes each
            if here.start < here.stop:
                part = np.delete(part, gone[here] - start)
                uids = self._uids[part]
            start = stop
            if len(part):
                raw = self._source.load(self._rows_at(part))
                if numbers is not None:
                    held = raw.size * _numbers(raw.dtype)
                    step = max(1, min(size, numbers * len(raw) // max(1, held)))
                yield uids, raw

    def _find(
        self, uids: NDArray[np.str_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the place of each uid among the pool's, and whether it is there."""
        if len(uids) == 0 or len(self._uids) == 0:
            return np.zeros(len(uids), np.int64), np.zeros(len(uids), np.bool_)
        at = np.searchsorted(self._uids, uids, sorter=self._order)
        places = self._order[np.minimum(at, len(self._order) - 1)]
        return places, self._uids[places] == uids

    def _rows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return places if self._rows is None else self._rows[places]


class _Part(DataSource):
    """Some samples of a pool."""

    def __init__(self, pool: Pool, uids: NDArray[np.str_]) -> None:
        self._pool = pool
        self._uids = uids

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._pool.load([Uid(uid) for uid in self._uids[rows].tolist()])

    @override
    def originals(self, row: int, side: int) -> Originals:
        return self._pool.originals(Uid(str(self._uids[row])), side)

    @override
    def dropped(self) -> frozenset[Uid]:
        return self._pool.dropped


def _numbers(dtype: np.dtype[Any]) -> int:
    """Return how many numbers one element holds: characters of a text, all fields."""
    if dtype.fields is not None:
        return sum(_numbers(field[0]) for field in dtype.fields.values())
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        return prod(shape) * _numbers(inner)
    return dtype.itemsize // 4 if dtype.kind == "U" else 1
