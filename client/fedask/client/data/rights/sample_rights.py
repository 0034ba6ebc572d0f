"""Applies the rights policy of a site to the samples of a device.

Called by the deployment when it opens a device, and by whoever opens its data for a
stream. This is the one place where samples without a right are left out: a pool over
``PermittedSource`` does not hold them, so that nothing can score, ask, show or train on
them. The store keeps when each question's right ends, so that the desk, which has no
data, withdraws the question then.

Judged once, at ``now``: a process that keeps a pool for long must open it anew.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken
from fedask.client.data.rights.rights_policy import ASK, DAY_S, Right, RightsPolicy
from fedask.client.data.rights.sidecar import StatedProvenance, stated_provenance
from fedask.client.records.original import Originals
from fedask.client.records.pool import DataSource
from fedask.client.records.provenance import FOREVER, UNKNOWN
from fedask.client.records.rights import Permits, RightsStore
from fedask.common.ids import Uid

_LAST = datetime(9999, 12, 31, tzinfo=UTC)  # what stands for no end


class SampleRights(Permits):
    """What may be done with each sample of a source, as of one moment.

    Equal samples are one sample: it may be used only as each of them may.

    Parameters
    ----------
    source
        All samples of the device.
    seen
        Where the policy has a retention: remembers when samples came.
    now
        Aware.

    Raises
    ------
    DataError
        If what is said of the samples cannot be understood.
    StoreError
        From ``seen``.
    """

    def __init__(
        self, source: DataSource, policy: RightsPolicy, seen: RightsStore, now: datetime
    ) -> None:
        self._source = source
        self._policy = policy
        uids = source.uids()
        self._rights = np.full(len(uids), int(ASK), dtype=np.uint8)
        self._until = np.full(len(uids), FOREVER, dtype=np.int64)
        self._idle = 0
        for stated in stated_provenance(source, policy.defaults):
            self._narrow(stated)
            self._idle += stated.idle
        if policy.days is not None and len(uids):
            ends = seen.first_seen(uids, now) + policy.days * DAY_S
            np.minimum(self._until, ends, out=self._until)
        self._share_rights(uids)
        self._past = self._until <= now.timestamp()
        self._rights[self._past] = 0
        self._order: NDArray[np.int64] | None = None

    def _narrow(self, stated: StatedProvenance) -> None:
        """Remove the rights that the provenance of one part does not give."""
        rights = np.array(
            [self._policy.rights(k) for k in stated.kinds], dtype=np.uint8
        )
        untils = np.array([kind.until for kind in stated.kinds], dtype=np.int64)
        # Not usable, but not past either: what is past is to be erased.
        rights[untils == UNKNOWN] = 0
        untils[untils == UNKNOWN] = FOREVER
        self._rights &= rights[stated.kind_of]
        np.minimum(self._until, untils[stated.kind_of], out=self._until)

    def _share_rights(self, uids: NDArray[np.str_]) -> None:
        """Give equal samples their common rights, until the first of them ends."""
        if not len(uids) or (np.ptp(self._rights) == 0 and np.ptp(self._until) == 0):
            return
        # As bytes: a million sort in half a second, as texts in ten.
        sample_of = np.unique(uids.astype("S"), return_inverse=True)[1]
        rights = np.full(sample_of.max() + 1, int(ASK), dtype=np.uint8)
        until = np.full(len(rights), FOREVER, dtype=np.int64)
        np.bitwise_and.at(rights, sample_of, self._rights)
        np.minimum.at(until, sample_of, self._until)
        self._rights, self._until = rights[sample_of], until[sample_of]

    @property
    @override
    def digest(self) -> str:
        return self._policy.digest

    @override
    def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
        mine = self._source.uids()
        if not len(mine) or not uids:
            return [None] * len(uids)
        if self._order is None:
            self._order = np.argsort(mine, kind="stable")
        wanted = np.array(uids, dtype=np.str_)
        at = np.searchsorted(mine, wanted, sorter=self._order)
        places = self._order[np.minimum(at, len(mine) - 1)]
        good = (mine[places] == wanted) & self._has(ASK)[places]
        ends = self._until[places].tolist()
        pairs = zip(good.tolist(), ends, strict=True)
        return [_to_time(end) if ok else None for ok, end in pairs]

    def may(self, rights: Right) -> "PermittedSource":
        """Return the samples of which all these rights are held, and no others."""
        return PermittedSource(self._source, self._has(rights))

    def _has(self, rights: Right) -> NDArray[np.bool_]:
        has: NDArray[np.bool_] = (self._rights & int(rights)) == int(rights)
        return has

    def expired(self, now: datetime) -> list[Uid]:
        """Return the samples whose time is over at ``now``, by uid: erase them."""
        past = self._source.uids()[self._until <= now.timestamp()]
        return [Uid(uid) for uid in np.unique(past).tolist()]

    @property
    def idle(self) -> int:
        """How many rows of provenance are about none of the samples."""
        return self._idle


class PermittedSource(DataSource):
    """The permitted samples of a source; the others cannot be reached through it.

    Parameters
    ----------
    allowed
        (n,) whether each is one of them.
    check
        Called before samples are loaded; raises when the device must stop. Scoring and
        measuring load a batch at a time, so this is where they stop.
    """

    def __init__(
        self,
        source: DataSource,
        allowed: NDArray[np.bool_],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._check = check
        self._rows: NDArray[np.int64] | None = None  # None: every row
        self._uids = source.uids()
        if not allowed.all():
            self._rows = np.flatnonzero(allowed)
            self._uids = self._uids[self._rows]

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._check()
        return self._source.load(rows if self._rows is None else self._rows[rows])

    @override
    def originals(self, row: int, side: int) -> Originals:
        self._check()
        inner = row if self._rows is None else int(self._rows[row])
        return self._source.originals(inner, side)

    @override
    def broken(self) -> list[Broken]:
        return self._source.broken()

    @override
    def dropped(self) -> frozenset[Uid]:
        return self._source.dropped()


class UnrestrictedPermits(Permits):
    """Permits everything: the owner of the device set ``rights="open"``."""

    @property
    @override
    def digest(self) -> str:
        return ""

    @override
    def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
        return [_LAST] * len(uids)


def _to_time(seconds: int) -> datetime:
    if seconds >= _LAST.timestamp():
        return _LAST
    return datetime.fromtimestamp(seconds, UTC)
