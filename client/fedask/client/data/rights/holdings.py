"""The samples of a device, and what its owner permits to be done with each.

Called by the deployment, by the commands of a site and by what shows samples, so that
all processes of a device keep to the same policy. What was erased is in no pool, though
its file may still be there. Judged at ``now``: whoever looks again holds again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from fedask.client.data.rights.rights_policy import ASK, Right, RightsPolicy
from fedask.client.data.rights.sample_rights import (
    PermittedSource,
    SampleRights,
    UnrestrictedPermits,
)
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.erasure import remaining
from fedask.client.records.pool import DataSource, Pool
from fedask.client.records.rights import Permits
from fedask.common.ids import Uid

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsSummary:
    """How many samples may be used: what an operator is told.

    Parameters
    ----------
    asked, trained
        Those that may be asked, and trained on.
    past
        Those whose time is over: to be erased.
    idle
        Rows of provenance that are about none of them.
    """

    samples: int
    asked: int
    trained: int
    past: int
    idle: int = 0


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
        if self._rights is not None and _log.isEnabledFor(logging.INFO):
            counts = self.summary()
            _log.info(
                "rights: %d samples, %d may be asked, %d trained on, %d past their "
                "time",
                counts.samples,
                counts.asked,
                counts.trained,
                counts.past,
            )
        return self._store.rights.apply(self.permits, self._now)

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
        """Count samples, for an operator: copies are one, erased ones are none."""
        return RightsSummary(
            samples=len(remaining(Pool(self._source), self._store.erasure)),
            asked=len(self.pool(ASK)),
            trained=len(self.pool(Right.TRAIN)),
            past=len(self.expired()),
            idle=0 if self._rights is None else self._rights.idle,
        )
