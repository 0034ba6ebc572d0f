"""The unlabelled pool of one device: samples by uid. Called by scoring and training.

Never copies the data: it knows uids and rows, and loads a batch at a time.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import DataError
from fedask.common.ids import Uid


class DataSource(Protocol):
    """Where samples come from."""

    def uids(self) -> NDArray[np.str_]:
        """Return the uid of every sample: (n,) str; entry i names row i."""
        ...

    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the raw samples of these rows, in their order: (m, ...)."""
        ...


class Pool:
    """Samples of a source, once each.

    Parameters
    ----------
    source
        Two rows with equal content share a uid; the first one stands for both.
    """

    def __init__(self, source: DataSource) -> None:
        self._source = source
        uids = source.uids()
        self._row = {uid: row for row, uid in reversed(list(enumerate(uids.tolist())))}
        rows = np.fromiter(self._row.values(), dtype=np.int64, count=len(self._row))
        rows.sort()
        self._rows = rows
        self._uids = uids[rows]

    def __len__(self) -> int:
        return len(self._rows)

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

    def rows(self, uids: Sequence[Uid]) -> NDArray[np.int64]:
        """Return the row of each uid in the source: (m,) int64.

        Raises
        ------
        DataError
            If a uid is not in the pool (its sample was changed or removed).
        """
        try:
            rows = [self._row[uid] for uid in uids]
        except KeyError as err:
            msg = f"sample {err.args[0]} is no longer in the pool"
            raise DataError(msg) from None
        return np.array(rows, dtype=np.int64)

    def batches(
        self, exclude: Collection[Uid], size: int
    ) -> Iterator[tuple[NDArray[np.str_], NDArray[Any]]]:
        """Yield (uids, raw samples) of at most ``size`` rows, without the excluded."""
        # A byte per sample; a copy of the uids would take 128.
        kept = np.ones(len(self._rows), dtype=np.bool_)
        gone = [self._row[uid] for uid in exclude if uid in self._row]
        kept[np.searchsorted(self._rows, gone)] = False
        for start in range(0, len(kept), size):
            part = slice(start, start + size)
            rows = self._rows[part][kept[part]]
            if len(rows):
                yield self._uids[part][kept[part]], self._source.load(rows)
