"""Annotations, leases and what waits for people, in memory. A part of ``store``.

Plain scans over plain dicts, to be read as the meaning of the queries of ``sqlite``.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from typing_extensions import override

from fedask.client.records.annotation import Annotation, LabellingProgress
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.label_queue import WAITING, Item
from fedask.client.records.sample_record import (
    AnnotationStore,
    LeaseRecord,
    SampleRecord,
    SampleTransaction,
)
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.errors import PrivacyError, ProtocolError
from fedask.common.ids import Annotator, Uid


@dataclass(slots=True)
class MemoryAnnotations(AnnotationStore, SampleTransaction):
    """Annotations; while a transaction is open, also its rows."""

    _tables: MemoryTables

    @contextmanager
    @override
    def transaction(self) -> Iterator[SampleTransaction]:
        tables = self._tables
        before = (dict(tables.items), dict(tables.annotations), dict(tables.leases))
        try:
            yield self
        except BaseException as err:
            tables.items, tables.annotations, tables.leases = before
            tables.audit.settle(committed=False)
            if isinstance(err, (ProtocolError, PrivacyError)):
                tables.record(Event.REFUSED, place="desk")
            raise
        tables.audit.settle(committed=True)

    @override
    def newest(self, limit: int, annotator: Annotator | None) -> list[Annotation]:
        found = [v for v in self._all() if annotator in {None, v.annotator}]
        return found[::-1][: max(0, limit)]

    @override
    def progress(self, since: datetime) -> LabellingProgress:
        standing = [v for v in self._all() if v.undone is None]
        right: dict[Annotator, tuple[int, int]] = {}
        for annotation in sorted(standing, key=lambda v: v.annotator):
            truth = self._tables.items[annotation.uid].label
            if annotation.control and None not in {annotation.label, truth}:
                hits, all_of_them = right.get(annotation.annotator, (0, 0))
                hits += annotation.label == truth
                right[annotation.annotator] = (hits, all_of_them + 1)
        labels = (i.label for i in self._tables.items.values() if i.label is not None)
        return LabellingProgress(
            states=dict(Counter(item.state for item in self._tables.items.values())),
            classes=dict(Counter(labels)),
            annotators=dict(Counter(v.annotator for v in standing)),
            today=sum(v.at is not None and v.at >= since for v in standing),
            controls=right,
        )

    @override
    def near(self, uid: Uid) -> list[Uid]:
        others = {b if a == uid else a for a, b in self._tables.near if uid in {a, b}}
        return sorted(item.uid for item in self._in_order() if item.uid in others)

    @override
    def waiting(self) -> list[tuple[Uid, float]]:
        return [
            (i.uid, self._tables.priority.get(i.uid, 1.0)) for i in self._in_order()
        ]

    @override
    def read(self, uid: Uid) -> SampleRecord:
        return SampleRecord(
            item=self._tables.item(uid),
            annotations=self._tables.annotations.get(uid, ()),
            leases=self._tables.leases.get(uid, ()),
        )

    @override
    def write(self, sample: SampleRecord) -> None:
        tables, uid = self._tables, sample.item.uid
        tables.items[uid], tables.leases[uid] = sample.item, sample.leases
        tables.annotations[uid] = tuple(map(self._numbered, sample.annotations))

    @override
    def open_for(self, annotator: Annotator, limit: int, quorum: int) -> list[Uid]:
        def is_open(sample: SampleRecord) -> bool:
            has = any(v.annotator == annotator for v in sample.opinions)
            lease = sample.lease_of(annotator)
            leases = lease is not None and lease.until is not None
            room = max(1, quorum - sample.votes) - len(sample.running)
            return room > 0 and not has and not leases

        waiting = self._in_order()
        found = (item.uid for item in waiting if is_open(self.read(item.uid)))
        return [uid for uid, _ in zip(found, range(limit), strict=False)]

    @override
    def control_for(
        self, annotator: Annotator, start: Uid, now: datetime
    ) -> Uid | None:
        def is_new(sample: SampleRecord) -> bool:
            names = {v.annotator for v in sample.annotations}
            names |= {lease.annotator for lease in sample.leases}
            able = self.may_show(sample.item.uid, now)
            return sample.known and annotator not in names and able

        for uid in sorted(self._tables.items, key=lambda uid: (uid < start, uid)):
            if is_new(self.read(uid)):
                return uid
        return None

    @override
    def leased(
        self,
        annotator: Annotator | None = None,
        outside: tuple[datetime, datetime] | None = None,
    ) -> list[Uid]:
        def is_meant(lease: LeaseRecord) -> bool:
            if lease.until is None:
                return False
            if annotator is not None:
                return lease.annotator == annotator
            return outside is None or not outside[0] <= lease.until <= outside[1]

        return sorted(
            uid
            for uid, leases in self._tables.leases.items()
            if any(map(is_meant, leases))
        )

    @override
    def lapsed(self, now: datetime) -> list[Uid]:
        def on_screen(uid: Uid) -> bool:
            return any(
                lease.until is not None for lease in self._tables.leases.get(uid, ())
            )

        return sorted(
            uid
            for uid, item in self._tables.items.items()
            if not self.may_show(uid, now) and (item.state in WAITING or on_screen(uid))
        )

    @override
    def may_show(self, uid: Uid, now: datetime) -> bool:
        end = self._tables.right_until.get(uid)
        return uid in self._tables.items and (end is None or end > now)

    @override
    def record(
        self,
        event: Event,
        uids: Sequence[Uid],
        now: datetime | None,
        annotator: Annotator | None = None,
        **facts: Fact,
    ) -> None:
        audit = self._tables.audit
        audit.append(None, event, uids=uids, annotator=annotator, at=now, **facts)

    @override
    def given(self, annotator: Annotator, key: str | None) -> list[Annotation]:
        mine = [v for v in self._all() if v.annotator == annotator and v.key]
        if key is None:
            held = self.leased(annotator=annotator)
            mine = [v for v in mine if v.undone is None and v.uid not in held]
            key = mine[-1].key if mine else ""
        return [annotation for annotation in mine if annotation.key == key]

    def _numbered(self, said: Annotation) -> Annotation:
        if said.number:
            return said
        number = self._tables.last_number = self._tables.last_number + 1
        return replace(said, number=number, place=said.place or number)

    def _all(self) -> list[Annotation]:
        """Return all annotations, by number."""
        found = itertools.chain.from_iterable(self._tables.annotations.values())
        return sorted(found, key=lambda said: said.number)

    def _in_order(self) -> list[Item]:
        """Return what waits, in the order it is given out."""
        waiting = [i for i in self._tables.items.values() if i.state in WAITING]
        waiting.sort(
            key=lambda i: (-self._tables.priority.get(i.uid, 1.0), i.cycle, i.uid)
        )
        return waiting
