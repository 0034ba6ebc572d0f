"""The desk's rows in memory: what ``sqlite.annotations`` keeps in tables.

Plain scans over plain dicts, to be read as the meaning of those queries. All other
parts of the store in memory stand on these.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from typing_extensions import override

from fedask.client.records.annotation import Annotation, LabellingProgress
from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.label_queue import WAITING, Item
from fedask.client.records.refusal import UnknownSampleError
from fedask.client.records.sample_record import (
    AnnotationStore,
    LeaseRecord,
    SampleRecord,
    SampleTransaction,
)
from fedask.common.errors import PrivacyError, ProtocolError
from fedask.common.ids import Annotator, Uid


class MemoryAnnotations(AnnotationStore, SampleTransaction):
    """Items, annotations and leases. Nothing here survives the process."""

    def __init__(self) -> None:
        self._items: dict[Uid, Item] = {}
        self._priority: dict[Uid, float] = {}
        self._annotations: dict[int, Annotation] = {}  # by number
        self._said = 0  # the last number
        self._holds: dict[Uid, tuple[LeaseRecord, ...]] = {}
        self._right_until: dict[Uid, datetime] = {}
        self._audit: Audit = NO_AUDIT
        self._near: frozenset[tuple[Uid, Uid]] = frozenset()
        self._forgotten: dict[Uid, tuple[int, ...]] = {}  # cycles trained in

    @contextmanager
    @override
    def book(self) -> Iterator[SampleTransaction]:
        before = (dict(self._items), dict(self._annotations), dict(self._holds))
        try:
            yield self
        except BaseException as err:
            self._items, self._annotations, self._holds = before
            self._audit.settle(committed=False)
            if isinstance(err, (ProtocolError, PrivacyError)):
                self._audit.append(None, Event.REFUSED, place="desk")
                self._audit.settle(committed=True)
            raise
        self._audit.settle(committed=True)

    @override
    def annotations(self, limit: int, annotator: Annotator | None) -> list[Annotation]:
        found = [
            v for v in self._annotations.values() if annotator in {None, v.annotator}
        ]
        return found[::-1][: max(0, limit)]

    @override
    def progress(self, since: datetime) -> LabellingProgress:
        standing = [v for v in self._annotations.values() if v.undone is None]
        right: dict[Annotator, tuple[int, int]] = {}
        for annotation in sorted(standing, key=lambda v: v.annotator):
            truth = self._items[annotation.uid].label
            if annotation.control and None not in {annotation.label, truth}:
                hits, all_of_them = right.get(annotation.annotator, (0, 0))
                hits += annotation.label == truth
                right[annotation.annotator] = (hits, all_of_them + 1)
        labels = (i.label for i in self._items.values() if i.label is not None)
        return LabellingProgress(
            states=dict(Counter(item.state for item in self._items.values())),
            classes=dict(Counter(labels)),
            annotators=dict(Counter(v.annotator for v in standing)),
            today=sum(v.at is not None and v.at >= since for v in standing),
            controls=right,
        )

    @override
    def near(self, uid: Uid) -> list[Uid]:
        pairs = self._near | {(other, one) for one, other in self._near}
        return sorted(
            other
            for one, other in pairs
            if one == uid
            and other in self._items
            and self._items[other].state in WAITING
        )

    @override
    def waiting(self) -> list[tuple[Uid, float]]:
        return [(i.uid, self._priority.get(i.uid, 1.0)) for i in self._in_order()]

    @override
    def sheet(self, uid: Uid) -> SampleRecord:
        return SampleRecord(
            item=self._item(uid),
            annotations=tuple(v for v in self._annotations.values() if v.uid == uid),
            holds=self._holds.get(uid, ()),
        )

    @override
    def write(self, sheet: SampleRecord) -> None:
        self._items[sheet.item.uid] = sheet.item
        self._holds[sheet.item.uid] = sheet.holds
        for annotation in sheet.annotations:
            if annotation.number:
                self._annotations[annotation.number] = annotation
            else:
                self._add_annotation(annotation)

    @override
    def open_for(self, annotator: Annotator, limit: int, quorum: int) -> list[Uid]:
        def is_open(sheet: SampleRecord) -> bool:
            has = any(v.annotator == annotator for v in sheet.opinions)
            hold = sheet.hold_of(annotator)
            holds = hold is not None and hold.until is not None
            room = max(1, quorum - sheet.votes) - len(sheet.running)
            return room > 0 and not has and not holds

        waiting = self._in_order()
        found = (item.uid for item in waiting if is_open(self.sheet(item.uid)))
        return [uid for uid, _ in zip(found, range(limit), strict=False)]

    @override
    def control_for(
        self, annotator: Annotator, start: Uid, now: datetime
    ) -> Uid | None:
        def is_new(sheet: SampleRecord) -> bool:
            names = {v.annotator for v in sheet.annotations}
            names |= {hold.annotator for hold in sheet.holds}
            able = self.may_show(sheet.item.uid, now)
            return sheet.known and annotator not in names and able

        for uid in sorted(self._items, key=lambda uid: (uid < start, uid)):
            if is_new(self.sheet(uid)):
                return uid
        return None

    @override
    def leased(
        self,
        annotator: Annotator | None = None,
        outside: tuple[datetime, datetime] | None = None,
    ) -> list[Uid]:
        def is_meant(hold: LeaseRecord) -> bool:
            if hold.until is None:
                return False
            if annotator is not None:
                return hold.annotator == annotator
            return outside is None or not outside[0] <= hold.until <= outside[1]

        return sorted(
            uid for uid, holds in self._holds.items() if any(map(is_meant, holds))
        )

    @override
    def lapsed(self, now: datetime) -> list[Uid]:
        def on_screen(uid: Uid) -> bool:
            return any(hold.until is not None for hold in self._holds.get(uid, ()))

        return sorted(
            uid
            for uid, item in self._items.items()
            if not self.may_show(uid, now) and (item.state in WAITING or on_screen(uid))
        )

    @override
    def may_show(self, uid: Uid, now: datetime) -> bool:
        end = self._right_until.get(uid)
        return uid in self._items and (end is None or end > now)

    @override
    def record(
        self,
        event: Event,
        uids: Sequence[Uid],
        now: datetime,
        annotator: Annotator | None = None,
    ) -> None:
        self._audit.append(None, event, uids=uids, annotator=annotator, at=now)

    @override
    def given(self, annotator: Annotator, key: str | None) -> list[Annotation]:
        mine = [
            v for v in self._annotations.values() if v.annotator == annotator and v.key
        ]
        if key is None:
            held = self.leased(annotator=annotator)
            mine = [v for v in mine if v.undone is None and v.uid not in held]
            key = mine[-1].key if mine else ""
        return [annotation for annotation in mine if annotation.key == key]

    def _record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        annotator: Annotator | None = None,
        *,
        at: datetime | None = None,
        **facts: Fact,
    ) -> None:
        self._audit.append(None, event, uids=uids, annotator=annotator, at=at, **facts)
        self._audit.settle(committed=True)

    def _in_order(self) -> list[Item]:
        """Return what waits, in the order it is given out."""
        waiting = [i for i in self._items.values() if i.state in WAITING]
        waiting.sort(key=lambda i: (-self._priority.get(i.uid, 1.0), i.cycle, i.uid))
        return waiting

    def _add_annotation(self, annotation: Annotation) -> None:
        self._said += 1  # never a number twice, whatever is erased
        place = annotation.place or self._said
        self._annotations[self._said] = replace(
            annotation, number=self._said, place=place
        )

    def _end_leases(self, uid: Uid) -> None:
        """End whatever people hold of a sample that the device moves."""
        self._holds[uid] = tuple(
            hold if hold.control else replace(hold, until=None)
            for hold in self._holds.get(uid, ())
        )

    def _item(self, uid: Uid) -> Item:
        try:
            return self._items[uid]
        except KeyError:
            msg = f"sample {uid} is not in the queue"
            raise UnknownSampleError(msg) from None
