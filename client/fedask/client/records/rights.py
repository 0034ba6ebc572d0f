"""The ends of samples' rights: seams between the owner's policy and the store.

Given by ``data.rights.sample_rights``, kept by the store. What a right is stands in
``data.rights.rights_policy``; here is only until when one lasts.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.ids import Uid


class Permits(Protocol):
    """Tells the store until when each sample may be asked and shown."""

    @property
    def digest(self) -> str:
        """Name of the policy; "" where everything is allowed without end."""

    def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
        """Return when the right to ask each sample ends; None: there is none now."""


class RightsStore(Protocol):
    """Keeps when samples were first seen, and until when each may be asked."""

    def first_seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        """Return when each was seen first, and keep that new ones are seen now.

        A time later than ``now`` is put right: a clock that was ahead once gives no
        sample a longer life. A sample that went and comes again is not new.

        Parameters
        ----------
        uids
            (n,) str of 32 hex digits; some may be equal.
        now
            Aware.

        Returns
        -------
        NDArray
            (n,) int64 seconds since 1970 UTC, at most ``now``.
        """

    def apply(self, permits: Permits, now: datetime) -> list[Uid]:
        """Apply permits to all that was ever asked, and to what is asked from now on.

        Questions that are not permitted any more expire, whoever has them on the
        screen; answers stay, but pools over ``Permitted`` do not know their samples.

        Parameters
        ----------
        permits
            Of the samples as they are now; ``Anything`` ends all restrictions.
        now
            Aware.

        Returns
        -------
        list
            The uids that expired.
        """
