"""Finds what has arrived at a device's data since the last look.

Called by whoever feeds a ``Stream``: ``stream.take(uids, raw, now)`` for each batch.
Never waits and never loops: when to look is the caller's business.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.pool import DataSource, Pool
from fedask.client.sources.indexed import NoSamplesError

BATCH_NUMBERS = 1 << 20


class Watch:
    """Looks at data again and again.

    Parameters
    ----------
    open_source
        Opens the data as it is at this moment, with ``watch=True``, so that files that
        are still growing are left for a later look.
    """

    def __init__(self, open_source: Callable[[], DataSource]) -> None:
        self._open_source = open_source
        self._known: NDArray[np.str_] = np.zeros(0, dtype="<U32")
        self.pool: Pool | None = None

    def look(self, size: int) -> Iterator[tuple[NDArray[np.str_], NDArray[Any]]]:
        """Look now; yield uids and raw samples that were not there before, in batches.

        The first look yields everything. ``pool`` holds all there is, before the first
        batch comes; it is None as long as there is nothing.

        Parameters
        ----------
        size
            Most samples in a batch.

        Raises
        ------
        DataError
            If a file changed between the look and the reading; nothing of this look
            counts as seen then.
        """
        try:
            self.pool = Pool(self._open_source())
        except NoSamplesError:
            return
        uids = self.pool.uids
        old = uids[np.isin(uids, self._known)]
        yield from self.pool.batches(old.tolist(), size, BATCH_NUMBERS)
        self._known = uids
