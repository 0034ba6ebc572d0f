"""Samples in one array: in memory, or on disk and memory-mapped.

Called by simulations and by tests; a device's own files are read by ``npy``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.pool import DataSource
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
            raise DataError("the device has no samples")
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
        return self._samples[rows]


def _named(samples: NDArray[Any], row: int) -> Uid:
    """Return the uid of one sample; refuses numbers that are not finite."""
    sample = samples[row]
    if sample.dtype.kind in "fc" and not np.isfinite(sample).all():
        raise DataError(f"row {row} of the samples holds NaN or infinity")
    return content_uid(sample)
