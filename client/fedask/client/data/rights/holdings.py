"""The samples of a device, and what its owner permits to be done with each.

Called by the deployment, by the commands of a site and by what shows samples, so that
all processes of a device keep to the same policy. What was erased is in no pool, though
its file may still be there. Judged at ``now``: whoever looks again holds again.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import numpy as np

from fedask.client.data.rights.rights_policy import Right, RightsPolicy
from fedask.client.data.rights.sample_rights import (
    PermittedSource,
    RightsSummary,
    SampleRights,
    UnrestrictedPermits,
)
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.erasure import remaining
from fedask.client.records.pool import DataSource, Pool
from fedask.client.records.rights import Permits
from fedask.common.ids import Uid

_log = logging.getLogger(__name__)


class Holdings:
    """What may be done with each sample of a device.

    Parameters
    ----------
    source
        All of them, as they are now.
    policy
        Of the site; None: everything may be done with all of them.
    now
        Aware.

    Raises
    ------
    DataError
        If what is said of the samples cannot be understood.
    StoreError
        If the disk refuses.
    """

    def __init__(
        self,
        source: DataSource,
        policy: RightsPolicy | None,
        store: DeviceStore,
        now: datetime,
    ) -> None:
        self._source = source
        self._store = store
        self._now = now
        self._rights = (
            None if policy is None else SampleRights(source, policy, store.rights, now)
        )

    @property
    def permits(self) -> Permits:
        """Until when each sample may be asked: for the store, and for a stream."""
        return UnrestrictedPermits() if self._rights is None else self._rights

    def apply(self) -> list[Uid]:
        """Tell the store what is permitted; returns the questions that expire by it."""
        gone = self._store.rights.apply(self.permits, self._now)
        if self._rights is not None:
            summary = self._rights.summary()
            _log.info(
                "rights: %d samples, %d may be asked, %d trained on, %d past their "
                "time",
                summary.samples,
                summary.asked,
                summary.trained,
                summary.past,
            )
        return gone

    def source(self, rights: Right) -> DataSource:
        """Return the samples of which all these rights are held, erased ones too."""
        return self._source if self._rights is None else self._rights.may(rights)

    def pool(self, rights: Right, check: Callable[[], None] | None = None) -> Pool:
        """Return the samples of which all these rights are held.

        Parameters
        ----------
        check
            Called before samples are loaded; raises when the device must stop.
        """
        source = self.source(rights)
        if check is not None:
            allowed = np.ones(len(source.uids()), dtype=np.bool_)
            source = PermittedSource(source, allowed, check)
        return remaining(Pool(source), self._store.erasure)

    def training_pool(self, check: Callable[[], None] | None = None) -> Pool | None:
        """Return what may be trained on; None: what may be asked, and all of it."""
        return None if self._rights is None else self.pool(Right.TRAIN, check)

    def expired(self) -> list[Uid]:
        """Return the samples whose time is over and that are not erased yet, by uid."""
        if self._rights is None:
            return []
        past = self._rights.expired(self._now)
        gone = self._store.erasure.forgotten(past)
        return [uid for uid in past if uid not in gone]

    def summary(self) -> RightsSummary:
        """Count samples, for an operator."""
        if self._rights is None:
            count = len(self._source.uids())
            return RightsSummary(samples=count, asked=count, trained=count, past=0)
        return self._rights.summary()
