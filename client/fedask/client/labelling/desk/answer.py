"""Annotations under a lease: what a person answers about a sample they were given.

Called by the desk, within an open transaction. Annotations without a lease are the
business of ``imported_annotation``; what an annotation does to a sample is decided in
``SampleRecord``.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime

from fedask.client.labelling.desk.lease_table import LeaseTable
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    AgreementRule,
    Annotation,
    Choice,
    Kind,
    Label,
    Receipt,
)
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.records.refusal import (
    KeyReusedError,
    LeaseError,
    NotLastError,
    NotNearError,
    RightEndedError,
)
from fedask.client.records.sample_record import SampleRecord, SampleTransaction
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid

MAX_KEY = 128  # characters


def check_key(key: str) -> None:
    """Refuse an idempotency key that is empty or too long.

    Raises
    ------
    ProtocolError
        Saying how long it may be.
    """
    if not 1 <= len(key) <= MAX_KEY:
        raise ProtocolError(f"an idempotency key must have 1 to {MAX_KEY} characters")


def check_choice(choice: Choice, key: str, also: Sequence[Uid], classes: int) -> None:
    """Refuse an answer that no client should send.

    Raises
    ------
    ProtocolError
        If the key is no key, the label no class, or something else than a label is to
        be shared.
    """
    check_key(key)
    if isinstance(choice, Label):
        if not 0 <= choice.index < classes:
            raise ProtocolError(f"label {choice.index} is not one of {classes} classes")
    elif choice not in (SKIP, UNSURE):
        raise ProtocolError(
            f"an annotation is a label, SKIP or UNSURE, not {choice!r:.40}"
        )
    elif also:
        raise ProtocolError("only a label can be shared with near-duplicates")


def leased(
    rows: SampleTransaction, who: Annotator, uid: Uid, token: str
) -> SampleRecord:
    """Return the record of a sample that was leased to this annotator with this token.

    Raises
    ------
    LeaseError
        If it is not.
    UnknownSampleError
        If the sample is not in the queue.
    """
    sample = rows.read(uid)
    lease = sample.lease_of(who)
    if lease is None or not hmac.compare_digest(lease.token.encode(), token.encode()):
        raise LeaseError(
            f"sample {uid} was not leased to {who} with this token: lease it again"
        )
    return sample


def copies_of(
    rows: SampleTransaction, uid: Uid, also: Sequence[Uid], near: Sequence[Uid]
) -> list[SampleRecord]:
    """Return the records of the near-duplicates that get the same label.

    Raises
    ------
    NotNearError
        If one of them is none.
    """
    wrong = sorted(set(also) - set(near))
    if wrong:
        raise NotNearError(
            f"sample {wrong[0]:.40} is no near-duplicate of {uid} that waits"
        )
    return [rows.read(other) for other in sorted(set(also))]


def check_right(rows: SampleTransaction, uid: Uid, now: datetime) -> None:
    """Refuse an annotation on a sample that may not be used any more.

    Raises
    ------
    RightEndedError
        Naming the sample.
    """
    if not rows.may_show(uid, now):
        raise RightEndedError(
            f"sample {uid} may not be used any more: its right to be has ended"
        )


def annotation_of(
    sample: SampleRecord, who: Annotator, choice: Choice, key: str, now: datetime
) -> Annotation:
    """Return the annotation of somebody who chose a class, or none, for a sample."""
    lease = sample.lease_of(who)
    return Annotation(
        uid=sample.item.uid,
        annotator=who,
        kind=Kind.LABEL if isinstance(choice, Label) else choice,
        label=choice.index if isinstance(choice, Label) else None,
        at=now,
        key=key,
        token="" if lease is None else lease.token,
        control=lease is not None and lease.control,
    )


def receipt_of(annotations: Sequence[Annotation], uid: Uid) -> Receipt:
    """Return the receipt for the annotations that were kept under one key.

    Raises
    ------
    KeyReusedError
        If that is of another sample.
    """
    first, *others = annotations
    if first.uid != uid or first.at is None:
        raise KeyReusedError(
            f"this key was used for sample {first.uid}: every answer needs its own"
        )
    return Receipt(
        number=first.number,
        uid=uid,
        kind=first.kind,
        label=first.label,
        at=first.at,
        shared=tuple(annotation.uid for annotation in others),
    )


def undo(
    rows: SampleTransaction,
    leases: LeaseTable,
    rule: AgreementRule,
    who: Annotator,
    key: str | None,
    now: datetime,
) -> Uid | None:
    """Take back an annotator's last answer, and lease the sample to them again.

    See ``Desk.undo``.

    Raises
    ------
    NotLastError
        If the key is not that of the last answer.
    """
    last = rows.given(who, None)
    if key is not None and (not last or last[0].key != key):
        return _taken_back(rows, who, key)
    for annotation in last:
        sample = rows.read(annotation.uid)
        if annotation.control or sample.item.state is not ItemState.TRAINED:
            sample = sample.without(annotation, now)
        if rows.may_show(annotation.uid, now):
            sample = leases.again(sample, who, now, control=annotation.control)
            sample = sample.settled(rule)
        else:  # taken back, but not to be seen again
            sample = sample.settled(rule).withdrawn()
        rows.write(sample)
    if last:
        rows.record(Event.UNDONE, [v.uid for v in last], now, who)
    return last[0].uid if last else None


def _taken_back(rows: SampleTransaction, who: Annotator, key: str) -> Uid:
    """Return the sample whose answer under a key is taken back, or about to be."""
    given = rows.given(who, key)
    if given:
        lease = rows.read(given[0].uid).lease_of(who)
        if given[0].undone is not None or (
            lease is not None and lease.until is not None
        ):
            return given[0].uid
    raise NotLastError(
        "the answer under this key is not the last one: only that can be taken back"
    )
