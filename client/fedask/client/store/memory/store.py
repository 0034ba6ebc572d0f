"""A device's store in memory. Passes the same contract tests as ``SqliteStore``."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.part_store import PartStore
from fedask.client.records.payload import StoreQuota
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.client.store.memory.arrivals import MemoryArrivals, MemoryCuts
from fedask.client.store.memory.erasure import MemoryErasure
from fedask.client.store.memory.label_queue import MemoryLabelQueue
from fedask.client.store.memory.parts import MemoryParts
from fedask.client.store.memory.payloads import MemoryPayloads
from fedask.client.store.memory.query_outcomes import (
    MemoryClasses,
    MemoryMilestones,
    MemoryQueryOutcomes,
)
from fedask.client.store.memory.rights import MemoryRights
from fedask.client.store.memory.scores import (
    MemoryLocalModel,
    MemoryModels,
    MemoryPseudoLabels,
    MemoryScores,
)
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Uid


class MemoryStore(DeviceStore):
    """A store that is lost when the process ends.

    Parameters
    ----------
    parts
        By default one of its own; devices of one process may share one.
    """

    def __init__(
        self,
        quota: StoreQuota | None = None,
        audit: Audit = NO_AUDIT,
        parts: PartStore | None = None,
    ) -> None:
        self.tables = tables = MemoryTables(audit=audit)
        self.annotations = annotations = MemoryAnnotations(tables)
        self.rights = rights = MemoryRights(tables, annotations)
        self.scores = scores = MemoryScores(tables)
        self.queue = MemoryLabelQueue(tables, annotations, rights)
        self.models = MemoryModels(tables)
        self.cuts = MemoryCuts(tables)
        self.arrivals = MemoryArrivals(tables, rights)
        self.query_outcomes = MemoryQueryOutcomes(tables)
        self.pseudo_labels = MemoryPseudoLabels(tables)
        self.local_model = MemoryLocalModel(tables)
        self.milestones = MemoryMilestones()
        self.payloads = MemoryPayloads(tables, scores, quota or StoreQuota())
        self.classes = MemoryClasses(tables)
        self.parts = parts or MemoryParts()
        self.erasure = MemoryErasure(tables, scores)

    @override
    def record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        *,
        at: datetime | None,
        **facts: Fact,
    ) -> None:
        self.tables.record(event, uids, None, at=at, **facts)

    @override
    def close(self) -> None:
        pass
