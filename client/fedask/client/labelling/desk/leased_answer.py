"""Annotations under a lease: what a person says of a sample they were given.

Called by the desk, within an open transaction. Annotations without a lease are taken by
``unleased_answer``; what an annotation does to a sample is decided in ``SampleRecord``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fedask.client.labelling.desk.unleased_answer import check_key
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    Annotation,
    Kind,
    Label,
    Receipt,
    Said,
)
from fedask.client.records.refusal import (
    KeyReusedError,
    NotNearError,
    RightEndedError,
)
from fedask.client.records.sample_record import SampleRecord, SampleTransaction
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid


def check_said(said: Said, key: str, also: Sequence[Uid], classes: int) -> None:
    """Refuse what no client should send.

    Raises
    ------
    ProtocolError
        If the key is no key, the label no class, or something else than a label is to
        be shared.
    """
    check_key(key)
    if isinstance(said, Label):
        if not 0 <= said.index < classes:
            msg = f"label {said.index} is not one of {classes} classes"
            raise ProtocolError(msg)
    elif said not in (SKIP, UNSURE):
        msg = f"an annotation is a label, SKIP or UNSURE, not {said!r:.40}"
        raise ProtocolError(msg)
    elif also:
        msg = "only a label can be shared with near-duplicates"
        raise ProtocolError(msg)


def shared_with(
    rows: SampleTransaction, uid: Uid, also: Sequence[Uid], near: Sequence[Uid]
) -> list[SampleRecord]:
    """Return the records of near-duplicates that an annotation is for, too.

    Raises
    ------
    NotNearError
        If one of them is none.
    """
    wrong = sorted(set(also) - set(near))
    if wrong:
        msg = f"sample {wrong[0]:.40} is no near-duplicate of {uid} that waits"
        raise NotNearError(msg)
    return [rows.read(other) for other in sorted(set(also))]


def check_right(rows: SampleTransaction, uid: Uid, now: datetime) -> None:
    """Refuse an annotation on what may not be used any more: it could not be either.

    Raises
    ------
    RightEndedError
        Naming the sample.
    """
    if not rows.may_show(uid, now):
        msg = f"sample {uid} may not be used any more: its right to be has ended"
        raise RightEndedError(msg)


def annotation_on(
    sample: SampleRecord, who: Annotator, said: Said, key: str, now: datetime
) -> Annotation:
    """Write down what somebody says of a sample that they were given."""
    lease = sample.lease_of(who)
    return Annotation(
        uid=sample.item.uid,
        annotator=who,
        kind=Kind.LABEL if isinstance(said, Label) else said,
        label=said.index if isinstance(said, Label) else None,
        at=now,
        key=key,
        token="" if lease is None else lease.token,
        control=lease is not None and lease.control,
    )


def shared(annotation: Annotation) -> Annotation:
    """Return an annotation as it stands for a near-duplicate."""
    return replace(annotation, kind=Kind.SHARED, token="", control=False)


def receipt(annotations: Sequence[Annotation], uid: Uid) -> Receipt:
    """Write the receipt for what was kept under one key.

    Raises
    ------
    KeyReusedError
        If that is of another sample.
    """
    first, *others = annotations
    if first.uid != uid or first.at is None:
        msg = f"this key was used for sample {first.uid}: every answer needs its own"
        raise KeyReusedError(msg)
    return Receipt(
        number=first.number,
        uid=uid,
        kind=first.kind,
        label=first.label,
        at=first.at,
        shared=tuple(annotation.uid for annotation in others),
    )
