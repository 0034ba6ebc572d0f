"""The label queue in memory. A part of ``store``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.records.record_queue import RecordQueue
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.client.store.memory.rights import MemoryRights
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Uid


@dataclass(slots=True)
class MemoryLabelQueue(RecordQueue):
    """The queue."""

    _tables: MemoryTables
    _annotations: MemoryAnnotations
    _rights: MemoryRights

    @override
    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        if cycle <= self._tables.last_cycle:
            return False
        uids = [uid for uid in uids if uid not in self._tables.forgotten]
        self._rights.permit(uids)
        self._tables.last_cycle = cycle
        for uid in uids:
            known = self._tables.items.get(uid)
            if known is None:
                self._tables.items[uid] = Item(
                    uid=uid, state=ItemState.QUEUED, cycle=cycle
                )
            elif known.state is ItemState.EXPIRED:
                self._tables.items[uid] = replace(
                    known,
                    state=ItemState.QUEUED,
                    cycle=cycle,
                    asked=known.asked + 1,
                    origin=QueryOrigin.CUT,
                )
        if self._tables.scores is not None:
            _, kept = self._tables.scores
            scores = zip(kept.uids.tolist(), kept.scores.tolist(), strict=True)
            self._tables.priority |= {
                Uid(uid): s for uid, s in scores if uid in set(uids)
            }
        self._tables.record(Event.QUEUED, uids, cycle=cycle)
        return True

    @override
    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        changed = []
        for uid, label in labels.items():
            item = self._tables.items.get(uid)
            if item and (item.state, item.label) == (ItemState.LABELLED, label):
                self._tables.items[uid] = replace(item, state=ItemState.TRAINED)
                changed.append(uid)
        if changed:
            self._tables.record(Event.TRAINED, changed)
        if training is not None:
            known = self._tables.trained_in.get(training.cycle, frozenset())
            used = known | training.uids - self._tables.forgotten.keys()
            self._tables.trained_in[training.cycle] = used

    @override
    def items(self) -> list[Item]:
        return [self._tables.items[uid] for uid in sorted(self._tables.items)]
