"""The labelling desk: gives samples to people and takes their annotations.

Called by whatever people use: a page, a service, a terminal, an import; each a process
of its own over the device's one file. Never by the server, which has no say here. Each
call is one transaction; what happens in it is decided by ``lease_table``, ``answer``
and ``imported_annotation``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, time

from fedask.client.labelling.desk.answer import (
    annotation_of,
    check_choice,
    check_right,
    copies_of,
    leased,
    receipt_of,
    undo,
)
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.desk.imported_annotation import (
    Acceptance,
    accept,
    check_annotation,
    record_acts,
    retract,
)
from fedask.client.labelling.desk.lease_table import LeaseTable, new_token
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    AgreementRule,
    Annotation,
    Choice,
    Kind,
    LabellingProgress,
    Lease,
    Receipt,
)
from fedask.client.records.audit_event import Event
from fedask.client.records.sample_record import AnnotationStore, SampleTransaction
from fedask.common.clock import Clock
from fedask.common.errors import ProtocolError
from fedask.common.ids import Uid, parse_annotator

MAX_HELD = 1000  # leases of one annotator
# What the log calls an annotation; any other is a label.
_EVENTS: dict[Choice, Event] = {SKIP: Event.SKIPPED, UNSURE: Event.UNSURE}


class Desk:
    """Where people get samples and leave annotations. One per connection.

    Parameters
    ----------
    write_lock
        Entered around each transaction.

    Raises
    ------
    ProtocolError
        From every method that takes an annotator, if that is no name.
    StoreError
        From every method, if the disk refuses.
    """

    def __init__(
        self,
        store: AnnotationStore,
        clock: Clock,
        settings: DeskSettings,
        tokens: Callable[[], str] = new_token,
        write_lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._write_lock = nullcontext() if write_lock is None else write_lock
        self._rule = AgreementRule.parse(settings.rule, settings.unsure)
        self._leases = LeaseTable(settings, self._rule, tokens)

    @property
    def quorum(self) -> int:
        """How many people must agree about a sample."""
        return self._rule.quorum

    def lease(self, annotator: str, limit: int) -> list[Lease]:
        """Give samples to an annotator until they hold ``limit``.

        Returns all that they hold, what they held before first: a client that lost
        its memory, or asks again, gets the same samples, for a full length.

        Parameters
        ----------
        limit
            From 0 to ``MAX_HELD``.

        Raises
        ------
        ProtocolError
            If the limit is out of range.
        """
        who = parse_annotator(annotator)
        if not 0 <= limit <= MAX_HELD:
            raise ProtocolError(f"a lease of {limit} samples: must be 0 to {MAX_HELD}")
        with self._open() as (rows, now):
            return self._leases.give(rows, who, limit, now)

    def has_new(self, annotator: str, limit: int) -> bool:
        """Tell whether ``lease`` would give this annotator a sample they do not hold.

        Gives and prolongs nothing, so that it may be asked again and again.
        """
        who = parse_annotator(annotator)
        with self._open() as (rows, _):
            if len(rows.leased(annotator=who)) >= limit:
                return False
            return bool(rows.open_for(who, 1, self._rule.quorum))

    def check_lease(self, annotator: str, uid: Uid, token: str) -> None:
        """Refuse an annotator who did not lease a sample, or may not see it any more.

        Raises
        ------
        ProtocolError
            If the token is of another lease.
        RightEndedError
            If the right to use the sample has ended, whoever has it on the screen.
        StoreError
            If the sample is not in the queue.
        """
        who = parse_annotator(annotator)
        with self._open() as (rows, now):
            leased(rows, who, uid, token)
            check_right(rows, uid, now)

    def check_right(self, uid: Uid) -> None:
        """Refuse a sample that may not be shown any more; to be asked at each look.

        Raises
        ------
        RightEndedError
            If the right to use the sample has ended, or it was erased.
        """
        with self._open() as (rows, now):
            check_right(rows, uid, now)

    def submit(
        self,
        annotator: str,
        uid: Uid,
        token: str,
        choice: Choice,
        key: str,
        also: Sequence[Uid] = (),
    ) -> Receipt:
        """Keep an annotator's answer about a sample that was leased to them.

        Taken even if the lease ran out; it counts unless others settled the sample in
        the meantime. A second annotation of the same annotator replaces their first.

        Parameters
        ----------
        choice
            ``Label(class index)``, ``SKIP`` or ``UNSURE``.
        key
            Names this act of answering; the same key again changes nothing.
        also
            Near-duplicates (``near``) that the person says are the same.

        Raises
        ------
        ProtocolError
            If the token is of another lease, the key of another sample, the label no
            class, or one of ``also`` is no near-duplicate or got no label.
        RightEndedError
            If the right to use the sample has ended.
        StoreError
            If the sample is not in the queue.
        """
        who = parse_annotator(annotator)
        check_choice(choice, key, also, self._settings.classes)
        with self._open() as (rows, now):
            if not rows.given(who, key):
                near = self._store.near(uid) if also else []
                copies = copies_of(rows, uid, also, near) if also else []
                samples = [leased(rows, who, uid, token), *copies]
                for sample in samples:
                    check_right(rows, sample.item.uid, now)
                for sample in samples:
                    annotation = annotation_of(sample, who, choice, key, now)
                    if sample in copies:
                        annotation = replace(
                            annotation, kind=Kind.SHARED, token="", control=False
                        )
                    annotated = sample.with_annotation(annotation, now)
                    rows.write(annotated.settled(self._rule))
                event = _EVENTS.get(choice, Event.LABELLED)
                rows.record(event, [each.item.uid for each in samples], now, who)
            return receipt_of(rows.given(who, key), uid)

    def accept(self, annotations: Sequence[Annotation]) -> list[Acceptance]:
        """Keep annotations that people gave elsewhere, without a lease.

        All of them, or none. The same key of the same annotator on the same sample
        changes nothing when it comes again, even if the annotation was taken back in
        the meantime. A newer annotation of an annotator replaces their older one,
        whichever comes first. ``undo`` takes back what was taken last, like any other
        answer.

        Parameters
        ----------
        annotations
            Each with sample, annotator, kind, label, time (None: nobody knows) and key.
            GIVEN settles its sample at once; LABEL and SHARED are an opinion under the
            rule of agreement.

        Returns
        -------
        list
            What became of each, in their order.

        Raises
        ------
        ProtocolError
            If one of them is nothing that a person may have said: see
            ``imported_annotation.check_annotation``.
        """
        self.check(annotations)
        with self._open() as (rows, now):
            accepted = [accept(rows, self._rule, each, now) for each in annotations]
            acts = [
                (_EVENTS.get(annotation.kind, Event.LABELLED), annotation)
                for annotation, acceptance in zip(annotations, accepted, strict=True)
                if acceptance is Acceptance.KEPT
            ]
            record_acts(rows, acts, now)
        return accepted

    def retract(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Take back what ``accept`` kept, as its annotators did where they gave it.

        One that a model was trained on stands, as for ``undo``; nobody is given the
        sample, which waits again.

        Returns
        -------
        list
            Those that were taken back.
        """
        with self._open() as (rows, now):
            gone = [
                each for each in annotations if retract(rows, self._rule, each, now)
            ]
            record_acts(rows, [(Event.UNDONE, each) for each in gone], now)
        return gone

    def check(self, annotations: Iterable[Annotation]) -> None:
        """Refuse annotations that ``accept`` would refuse; keep nothing.

        Raises
        ------
        ProtocolError
            As ``accept``.
        """
        now = self._clock.now()
        for annotation in annotations:
            check_annotation(annotation, self._settings.classes, now)

    def undo(self, annotator: str, key: str | None = None) -> Uid | None:
        """Take back an annotator's last answer and give them the sample again.

        With it go the annotations on near-duplicates. One that a model was trained on
        stands until it is answered anew: then the sample is trained on again.

        Parameters
        ----------
        key
            That the answer was given under: once it is taken back, the same call again
            changes nothing. None: whatever the last answer is.

        Returns
        -------
        Uid
            Of the sample; None if there is nothing to take back.

        Raises
        ------
        ProtocolError
            If the key is not that of the last answer.
        """
        who = parse_annotator(annotator)
        with self._open() as (rows, now):
            return undo(rows, self._leases, self._rule, who, key, now)

    def release(self, annotator: str) -> None:
        """End all leases of an annotator; answers that are on their way still count."""
        who = parse_annotator(annotator)
        with self._open() as (rows, now):
            self._leases.end(rows, who, now)

    def progress(self, annotator: str | None = None) -> LabellingProgress:
        """Count states, classes and annotations.

        Parameters
        ----------
        annotator
            Who asks: they see their own annotations and no controls. None: the site.
        """
        midnight = datetime.combine(self._clock.now().astimezone(UTC), time(), UTC)
        all_of_it = self._store.progress(midnight)
        if annotator is None:
            return all_of_it
        who = parse_annotator(annotator)
        mine = all_of_it.annotators.get(who, 0)
        return replace(all_of_it, annotators={who: mine}, controls={})

    def history(self, limit: int, annotator: str | None = None) -> list[Annotation]:
        """Return the last annotations, newest first, those taken back among them.

        Parameters
        ----------
        annotator
            Who asks: they see their own, and not which were controls. None: the site.
        """
        if annotator is None:
            return self._store.newest(limit, None)
        mine = self._store.newest(limit, parse_annotator(annotator))
        return [replace(annotation, control=False) for annotation in mine]

    def near(self, uid: Uid) -> list[Uid]:
        """Return waiting samples so close to this one that one answer may serve all."""
        with self._open():  # what waited too long does not wait now
            pass
        return self._store.near(uid)

    @contextmanager
    def _open(self) -> Iterator[tuple[SampleTransaction, datetime]]:
        """Begin a transaction in which no lease is over or too long."""
        now = self._clock.now()
        with self._write_lock, self._store.transaction() as rows:
            self._leases.tidy(rows, now)
            yield rows, now
