"""The record of one sample in the queue, and the seam that keeps it.

Used by the desk and the device; kept by ``sqlite.annotations`` and
``memory.annotations``. The state of a sample follows from its annotations and leases
here, in the same way for both stores.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from fedask.client.records.annotation import (
    AgreementRule,
    Annotation,
    Kind,
    LabellingProgress,
)
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.label_queue import CLOSED, WAITING, Item, ItemState
from fedask.common.ids import Annotator, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """One annotator's lease of a sample, running or over; at most one per sample.

    Parameters
    ----------
    token
        Stays the same when they get the sample again: an answer that was on its way
        is still theirs.
    until
        None once it is over.
    control
        Whether the label is known already.
    """

    annotator: Annotator
    token: str
    until: datetime | None
    control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """A sample in the queue with all its annotations and leases.

    Parameters
    ----------
    annotations
        All of them, by number; those without a number last.
    leases
        All leases ever, by annotator.
    """

    item: Item
    annotations: tuple[Annotation, ...] = ()
    leases: tuple[LeaseRecord, ...] = ()

    @property
    def opinions(self) -> list[Annotation]:
        """Annotations that stand and may change the item."""
        return [v for v in self.annotations if v.undone is None and not v.control]

    @property
    def running(self) -> list[LeaseRecord]:
        """Leases that are not over and not controls."""
        return [h for h in self.leases if h.until is not None and not h.control]

    @property
    def votes(self) -> int:
        """Opinions for the class that has most."""
        labels = Counter(v.label for v in self.opinions if v.label is not None)
        return max(labels.values(), default=0)

    @property
    def known(self) -> bool:
        """Whether the label may serve as a control: agreed, or given by the site."""
        if self.item.label is None:
            return False
        same = [v for v in self.opinions if v.label == self.item.label]
        return len(same) > 1 or any(v.kind is Kind.GIVEN for v in same)

    def lease_of(self, annotator: Annotator) -> LeaseRecord | None:
        """Return their lease, running or over."""
        return next((h for h in self.leases if h.annotator == annotator), None)

    def with_lease(self, lease: LeaseRecord) -> "SampleRecord":
        """Return the record with this lease in place of its annotator's last one."""
        others = [h for h in self.leases if h.annotator != lease.annotator]
        leases = sorted([*others, lease], key=lambda h: h.annotator)
        return replace(self, leases=tuple(leases))

    def without(self, gone: Annotation, at: datetime) -> "SampleRecord":
        """Return the record with an annotation taken back; it stays in the list."""
        return replace(
            self,
            annotations=tuple(
                replace(v, undone=at) if v.number == gone.number else v
                for v in self.annotations
            ),
        )

    def with_annotation(self, fresh: Annotation, at: datetime) -> "SampleRecord":
        """Add an annotation in the place of its annotator's last one; end their lease.

        Parameters
        ----------
        at
            When: the one before is taken back then.
        """
        sample, lease = self, self.lease_of(fresh.annotator)
        if lease is not None and lease.control == fresh.control:
            sample = sample.with_lease(replace(lease, until=None))
        for before in sample.annotations:
            mine = before.annotator == fresh.annotator and before.undone is None
            if mine and before.control == fresh.control:
                fresh = replace(fresh, place=before.place)
                sample = sample.without(before, at)
        return replace(sample, annotations=(*sample.annotations, fresh))

    def moved(self, to: ItemState, said: Annotation | None = None) -> "SampleRecord":
        """Move the item, as the device does, and end its leases but those of controls.

        Parameters
        ----------
        said
            The annotation of the oracle that moves it.
        """
        item, paid = self.item, to in {ItemState.LABELLED, ItemState.SKIPPED}
        item = replace(
            item,
            state=to,
            label=item.label if said is None else said.label,
            expired=item.expired + (to is ItemState.EXPIRED and item.outcome is None),
            leased_until=None,
            outcome=item.outcome or (to if paid else None),
        )
        return SampleRecord(
            item=item,
            annotations=self.annotations + (() if said is None else (said,)),
            leases=tuple(
                h if h.control else replace(h, until=None) for h in self.leases
            ),
        )

    def withdrawn(self) -> "SampleRecord":
        """End all leases, and the question if it waits: it may not be shown now."""
        waits = self.item.state in WAITING
        sample = self.moved(ItemState.EXPIRED) if waits else self
        leases = tuple(replace(lease, until=None) for lease in sample.leases)
        return replace(sample, leases=leases)

    def settled(self, rule: AgreementRule) -> "SampleRecord":
        """Bring the item in line with its annotations and leases.

        When the item is closed by this, leases of others end: their answers are still
        taken, but no longer waited for.

        >>> from datetime import UTC
        >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        >>> uid, ann = Uid("7f" * 16), Annotator("ann")
        >>> waiting = SampleRecord(item=Item(uid=uid, state=ItemState.QUEUED, cycle=1))
        >>> rule = AgreementRule.parse("one", unsure=2)
        >>> lease = LeaseRecord(annotator=ann, token="secret", until=noon)
        >>> leased = waiting.with_lease(lease).settled(rule)
        >>> leased.item.state, leased.item.leased_until == noon
        (<ItemState.LEASED: 'leased'>, True)
        >>> said = Annotation(uid=uid, annotator=ann, kind=Kind.LABEL, label=3, at=noon)
        >>> labelled = leased.with_annotation(said, noon).settled(rule)
        >>> labelled.item.state, labelled.item.label, labelled.running
        (<ItemState.LABELLED: 'labelled'>, 3, [])
        """
        item, leases = self.item, self.leases
        state, label = rule.settle(self.opinions)
        if state is not None and item.state not in CLOSED:
            leases = tuple(h if h.control else replace(h, until=None) for h in leases)
        ends = [h.until for h in leases if h.until is not None and not h.control]
        if state is None:
            state = ItemState.LEASED if ends else ItemState.QUEUED
            if item.state is ItemState.EXPIRED and not ends:
                state = ItemState.EXPIRED
        elif item.state is ItemState.TRAINED and label == item.label:
            state = ItemState.TRAINED
        closed = state if state in CLOSED else None
        again = item.state is ItemState.EXPIRED and state is not ItemState.EXPIRED
        item = replace(
            item,
            state=state,
            label=label,
            # Somebody took up a question that had run out: it was asked once more.
            asked=item.asked + (again and item.outcome is None),
            leased_until=max(ends) if state is ItemState.LEASED else None,
            outcome=item.outcome or closed,
        )
        return replace(self, item=item, leases=leases)


class SampleTransaction(Protocol):
    """The rows of samples, within one transaction of the desk or the device."""

    def read(self, uid: Uid) -> SampleRecord:
        """Return the record of a sample.

        Raises
        ------
        UnknownSampleError
            If it is not in the queue.
        """

    def write(self, sample: SampleRecord) -> None:
        """Keep a changed record. Annotations without a number get the next one."""

    def open_for(self, annotator: Annotator, limit: int, quorum: int) -> list[Uid]:
        """Return waiting samples that this annotator may be given, in their order.

        Highest score first, then the oldest cycle, then uid. Left out are samples they
        hold or have an opinion on, and those that enough others hold: as many as are
        missing to ``quorum``.
        """

    def control_for(
        self, annotator: Annotator, start: Uid, now: datetime
    ) -> Uid | None:
        """Return a known sample they never had, the first from ``start`` on, by uid.

        After the last uid comes the first. Left out are those that may not be shown.
        """

    def lapsed(self, now: datetime) -> list[Uid]:
        """Return samples that wait or are leased, and may not be shown, by uid."""

    def may_show(self, uid: Uid, now: datetime) -> bool:
        """Tell whether a sample is in the queue, and its right to be shown runs."""

    def record(
        self,
        event: Event,
        uids: Sequence[Uid],
        now: datetime | None,
        annotator: Annotator | None = None,
        **facts: Fact,
    ) -> None:
        """Record in the audit log, if there is one, what is done with these samples.

        Without a time, the log's own clock tells it.
        """

    def leased(
        self,
        annotator: Annotator | None = None,
        outside: tuple[datetime, datetime] | None = None,
    ) -> list[Uid]:
        """Return samples with a running lease, by uid.

        Parameters
        ----------
        annotator
            Of this one alone.
        outside
            Those alone that end before the first or after the second.
        """

    def given(self, annotator: Annotator, key: str | None) -> list[Annotation]:
        """Return the annotations given under a key, by number.

        None stands for the last key of which an annotation stands that no running lease
        of the same annotator is to replace; only those annotations are returned.
        """


class AnnotationStore(Protocol):
    """Keeps annotations, and knows what waits for people."""

    def transaction(self) -> AbstractContextManager[SampleTransaction]:
        """Open a transaction: all changes happen when the block ends, or none."""

    def newest(self, limit: int, annotator: Annotator | None) -> list[Annotation]:
        """Return the last annotations, newest first; of one annotator, or of all."""

    def progress(self, since: datetime) -> LabellingProgress:
        """Return the counts; ``today`` counts from ``since`` on."""

    def near(self, uid: Uid) -> list[Uid]:
        """Return its near-duplicates that are waiting, by uid."""

    def waiting(self) -> list[tuple[Uid, float]]:
        """Return what waits for people, in the order it is given out, with its score.

        The score is 1 until a model has seen the sample.
        """
