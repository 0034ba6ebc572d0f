"""The moves of a label queue that are the same in every store.

Made a part of a store by ``sqlite.label_queue`` and ``memory.label_queue``. A sample is
read, moved and written as a whole, as the desk does it.
"""

from collections.abc import Iterable, Mapping

from typing_extensions import override

from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.audit_event import MOVED, Event
from fedask.client.records.label_queue import (
    MOVES,
    ORACLE,
    ItemState,
    LabelQueue,
    check_move,
    check_plain_move,
)
from fedask.client.records.sample_record import AnnotationStore
from fedask.common.ids import Annotator, Uid


class RecordQueue(LabelQueue):
    """A label queue that moves sample records."""

    _annotations: AnnotationStore

    @override
    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        fresh = []
        with self._annotations.transaction() as rows:
            for uid, label in answers.items():
                sample = rows.read(uid)
                if sample.item.label is None:
                    check_move(sample.item, ItemState.LABELLED)
                    said = Annotation(
                        uid=uid,
                        annotator=annotator,
                        kind=Kind.GIVEN,
                        label=label,
                        at=None,
                    )
                    rows.write(sample.moved(ItemState.LABELLED, said))
                    fresh.append(uid)
            if fresh:
                rows.record(Event.LABELLED, fresh, None, annotator, source="oracle")
        return frozenset(fresh)

    @override
    def move(
        self, uids: Iterable[Uid], to: ItemState, *, meanwhile: bool = False
    ) -> None:
        moved, wanted = [], list(uids)
        if not wanted:
            return
        with self._annotations.transaction() as rows:
            for uid in wanted:
                sample, said = rows.read(uid), None
                state = sample.item.state
                if state is to or (meanwhile and to not in MOVES[state]):
                    continue
                check_plain_move(sample.item, to)
                if to is ItemState.SKIPPED:
                    said = Annotation(
                        uid=uid, annotator=ORACLE, kind=Kind.SKIP, label=None, at=None
                    )
                rows.write(sample.moved(to, said))
                moved.append(uid)
            if moved:
                rows.record(MOVED[to], moved, None)
