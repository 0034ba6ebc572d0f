"""Annotations without a lease: from another tool, a file, or the site itself.

Called by the desk, within an open transaction. What comes in is untrusted; what it does
to a sample is decided in ``SampleRecord``, as for any other annotation.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from fedask.client.labelling.desk.answer import check_key
from fedask.client.records.annotation import AgreementRule, Annotation, Kind
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.records.refusal import UnknownSampleError
from fedask.client.records.sample_record import SampleRecord, SampleTransaction
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid, parse_annotator

AHEAD = timedelta(days=1)  # clocks of two machines differ, but not by more
CLASSED = frozenset({Kind.LABEL, Kind.SHARED, Kind.GIVEN})  # they go with a class


class Acceptance(StrEnum):
    """What became of an annotation that came without a lease."""

    KEPT = "kept"  # it stands now
    KNOWN = "known"  # it came before, whatever has become of it since
    LATE = "late"  # the same annotator has said something since
    UNKNOWN = "unknown"  # the sample is not in the queue
    BARRED = "barred"  # the sample may not be used any more


def check_annotation(annotation: Annotation, classes: int, now: datetime) -> None:
    """Refuse an annotation that no tool should bring.

    Parameters
    ----------
    classes
        Number of classes of the task.

    Raises
    ------
    ProtocolError
        If the annotator is no name, the label no class or not what the kind asks for,
        the key empty or too long, the time naive or in the future, or something set
        that the desk sets itself.
    """
    parse_annotator(annotation.annotator)
    check_key(annotation.key)
    if annotation.kind not in CLASSED and annotation.label is not None:
        raise ProtocolError(
            f"sample {annotation.uid:.40}: {annotation.kind} goes without a label"
        )
    if annotation.kind in CLASSED and annotation.label not in range(classes):
        label = annotation.label
        raise ProtocolError(
            f"sample {annotation.uid:.40}: label {label} is not one of {classes}"
            " classes"
        )
    if annotation.at is not None:
        _check_time(annotation.at, now)
    if (annotation.number, annotation.token, annotation.undone, annotation.place) != (
        0,
        "",
        None,
        0,
    ) or annotation.control:
        raise ProtocolError(
            f"sample {annotation.uid:.40}: an annotation without a lease has no "
            "number, token or place, is no control and was not undone"
        )


def _check_time(at: datetime, now: datetime) -> None:
    if at.tzinfo is None:
        raise ProtocolError(f"the time {at.isoformat()} has no time zone")
    if at > now + AHEAD:
        # It would stand for ever: nothing its annotator says later would be newer.
        raise ProtocolError(
            f"the time {at.isoformat()} lies in the future of this device, where it "
            f"is {now.isoformat()}: set the clock that is wrong"
        )


def accept(
    rows: SampleTransaction, rule: AgreementRule, annotation: Annotation, now: datetime
) -> Acceptance:
    """Keep an annotation that ``check_annotation`` let through, if it is to be kept."""
    known = rows.given(annotation.annotator, annotation.key)
    if any(each.uid == annotation.uid for each in known):
        return Acceptance.KNOWN
    try:
        sample = rows.read(annotation.uid)
    except UnknownSampleError:
        return Acceptance.UNKNOWN
    if not rows.may_show(annotation.uid, now):
        return Acceptance.BARRED
    acceptance = _judged(sample, annotation)
    if acceptance is Acceptance.KEPT:
        rows.write(sample.with_annotation(annotation, now).settled(rule))
    return acceptance


def _judged(sample: SampleRecord, annotation: Annotation) -> Acceptance:
    """Decide whether an annotation with a new key is kept.

    An act that came in another way, under another key, is known by its moment: the same
    annotator said the same of the same sample. One without a time is never newer than
    one with.
    """
    mine = [v for v in sample.annotations if v.annotator == annotation.annotator]
    for other in mine:
        same = (other.kind, other.label, other.at) == (
            annotation.kind,
            annotation.label,
            annotation.at,
        )
        if same and not other.control and (other.at or other.undone is None):
            return Acceptance.KNOWN
    stood = [v.at for v in mine if v.undone is None and not v.control]
    if any(at and (annotation.at is None or annotation.at < at) for at in stood):
        return Acceptance.LATE
    return Acceptance.KEPT


def retract(
    rows: SampleTransaction, rule: AgreementRule, annotation: Annotation, now: datetime
) -> bool:
    """Take back what ``accept`` kept; return whether it stood and could be taken back.

    One that a model was trained on stays.
    """
    kept = rows.given(annotation.annotator, annotation.key)
    if all(each.undone is not None for each in kept):
        return False  # taken back, replaced or erased in the meantime
    sample = rows.read(annotation.uid)
    if sample.item.state is ItemState.TRAINED:
        return False
    sample = sample.without(annotation, now).settled(rule)
    may_wait = rows.may_show(annotation.uid, now)
    rows.write(sample if may_wait else sample.withdrawn())
    return True


def record_acts(
    rows: SampleTransaction, acts: Iterable[tuple[Event, Annotation]], now: datetime
) -> None:
    """Record what was done to annotations: one entry per event and annotator."""
    uids_of: dict[tuple[Event, Annotator], list[Uid]] = {}
    for event, annotation in acts:
        uids_of.setdefault((event, annotation.annotator), []).append(annotation.uid)
    for (event, who), uids in uids_of.items():
        rows.record(event, uids, now, who)
