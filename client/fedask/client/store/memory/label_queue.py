"""The label queue in memory. A part of ``store``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from typing_extensions import override

from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.audit_event import MOVED, Event
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import (
    MOVES,
    ORACLE,
    Item,
    ItemState,
    LabelQueue,
    QueryOrigin,
    check_move,
    check_plain_move,
)
from fedask.client.store.memory.rights import MemoryRights
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Annotator, Uid


class MemoryLabelQueue(LabelQueue):
    """The queue."""

    def __init__(self, tables: MemoryTables, rights: MemoryRights) -> None:
        self._tables = tables
        self._rights = rights

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
    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        items = [self._tables.item(uid) for uid in answers]
        fresh = [item for item in items if item.label is None]
        for item in fresh:
            check_move(item, ItemState.LABELLED)
        for item in fresh:
            label = answers[item.uid]
            self._give(item.uid, annotator, Kind.GIVEN, label)
            self._tables.items[item.uid] = replace(
                item,
                state=ItemState.LABELLED,
                label=label,
                leased_until=None,
                outcome=item.outcome or ItemState.LABELLED,
            )
        told = [item.uid for item in fresh]
        if told:
            self._tables.record(Event.LABELLED, told, annotator, source="oracle")
        return frozenset(told)

    @override
    def move(
        self, uids: Iterable[Uid], to: ItemState, *, meanwhile: bool = False
    ) -> None:
        moving = [self._tables.item(uid) for uid in dict.fromkeys(uids)]
        moving = [item for item in moving if item.state is not to]
        if meanwhile:
            moving = [item for item in moving if to in MOVES[item.state]]
        for item in moving:
            check_plain_move(item, to)
        for item in moving:
            skipped = to if to is ItemState.SKIPPED else None
            if skipped:
                self._give(item.uid, ORACLE, Kind.SKIP, None)
            self._tables.end_leases(item.uid)
            self._tables.items[item.uid] = replace(
                item,
                state=to,
                leased_until=None,
                expired=item.expired
                + (to is ItemState.EXPIRED and item.outcome is None),
                outcome=item.outcome or skipped,
            )
        if moving:
            self._tables.record(MOVED[to], [item.uid for item in moving])

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

    def _give(
        self, uid: Uid, annotator: Annotator, kind: Kind, label: int | None
    ) -> None:
        """Keep what an oracle said, and end what people hold of the sample."""
        self._tables.add_annotation(
            Annotation(uid=uid, annotator=annotator, kind=kind, label=label, at=None)
        )
        self._tables.end_leases(uid)
