"""A device's store in memory. Passes the same contract tests as ``SqliteStore``."""

from collections.abc import Iterable
from dataclasses import replace

from typing_extensions import override

from fedask.client.records.arrival_pace import Pace
from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.erasure import Erased
from fedask.client.records.model_kind import OWN
from fedask.client.records.payload import StoreQuota
from fedask.client.store.memory.arrivals import MemoryArrivals
from fedask.client.store.memory.label_queue import MemoryLabels
from fedask.client.store.memory.local_model import MemoryLocalModel
from fedask.client.store.memory.milestones import MemoryMilestones
from fedask.client.store.memory.payloads import MemoryPayloads
from fedask.client.store.memory.pseudo_labels import MemoryPseudoLabels
from fedask.client.store.memory.query_outcomes import MemoryQueryOutcomes
from fedask.common.ids import Uid


class MemoryStore(
    MemoryLabels,
    MemoryArrivals,
    MemoryQueryOutcomes,
    MemoryPseudoLabels,
    MemoryLocalModel,
    MemoryPayloads,
    MemoryMilestones,
    DeviceStore,
):
    """The store of a device that forgets when the process ends.

    Parameters
    ----------
    quota
        Room for payloads.
    audit
        Records every change.
    """

    def __init__(
        self, quota: StoreQuota | None = None, audit: Audit = NO_AUDIT
    ) -> None:
        super().__init__()
        self._quota = quota or self._quota
        self._audit = audit

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        wanted = list(uids)
        fresh = sorted(frozenset(wanted) - self._forgotten.keys())
        for uid in fresh:
            cycles = [c for c, used in sorted(self._trained_in.items()) if uid in used]
            self._forgotten[uid] = tuple(cycles)
        kept = (
            self._items,
            self._priority,
            self._holds,
            self._query_records,
            self._sure,
        )
        for each in (*kept, self._right_until, self._seen):
            for uid in wanted:
                each.pop(uid, None)
        if fresh:
            self._record(Event.FORGOTTEN, fresh)
        gone = frozenset(wanted)
        if self._own is not None and not gone.isdisjoint(self._own.answers):
            self._own = None
            self._models.pop(OWN, None)
        self._taken -= gone
        self._payloads = {u: p for u, p in self._payloads.items() if u not in gone}
        self._dropped -= gone
        self._annotations = {
            n: v for n, v in self._annotations.items() if v.uid not in gone
        }
        self._trained_in = {c: used - gone for c, used in self._trained_in.items()}
        self._near = frozenset(p for p in self._near if gone.isdisjoint(p))
        self._drop_scores(wanted)
        if self._pace:
            self._pace = _without(self._pace, gone)
        found = {uid: self._forgotten[uid] for uid in wanted}
        models = tuple(sorted(self._models)) if any(found.values()) else ()
        return Erased(cycles=found, models=models, clean=True)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        return frozenset(uid for uid in uids if uid in self._forgotten)

    @override
    def close(self) -> None:
        pass


def _without(pace: bytes, gone: frozenset[Uid]) -> bytes:
    """Take samples out of the last batch of a stream."""
    kept = Pace.from_bytes(pace)
    if gone.isdisjoint(kept.last):
        return pace
    last = tuple(uid for uid in kept.last if uid not in gone)
    return replace(kept, last=last).to_bytes()
