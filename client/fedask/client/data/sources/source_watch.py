"""Finds samples that have arrived since the last look at a device's data.

Called by whoever feeds a ``Stream``: ``stream.take(uids, raw, now)`` for each batch.
Never waits and never loops: when to look is the caller's business.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.data.sources.indexed_source import NoSamplesError
from fedask.client.records.pool import DataSource, Pool
from fedask.common.ids import Uid

BATCH_NUMBERS = 1 << 20
_ASKED = 10_000  # uids at a time


class SourceWatch:
    """Opens data again and again, and tells what is new.

    Parameters
    ----------
    open_source
        Opens the data as it is at this moment, with ``watch=True``, so that files that
        are still growing are left for a later look.
    known
        Tells which of some uids were there before this process began; by default none.
    """

    def __init__(
        self,
        open_source: Callable[[], DataSource],
        known: Callable[[list[Uid]], Collection[Uid]] | None = None,
    ) -> None:
        self._open_source = open_source
        self._is_known = known
        self._known: NDArray[np.str_] = np.zeros(0, dtype="<U32")
        self.pool: Pool | None = None

    def look(self, size: int) -> Iterator[tuple[NDArray[np.str_], NDArray[Any]]]:
        """Look now; yield uids and raw samples that were not there before, in batches.

        The first look yields everything that is not ``known``. ``pool`` holds all
        there is, before the first batch comes; it is None as long as there is nothing.

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
        old = uids[np.isin(uids, self._known)].tolist()
        if self._is_known is not None and len(old) < len(uids):
            fresh = np.setdiff1d(uids, self._known)
            for start in range(0, len(fresh), _ASKED):
                part = [Uid(uid) for uid in fresh[start : start + _ASKED].tolist()]
                old.extend(self._is_known(part))
        yield from self.pool.batches(old, size, BATCH_NUMBERS)
        self._known = uids
