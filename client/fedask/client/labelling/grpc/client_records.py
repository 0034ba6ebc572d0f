"""The records that the client of the labelling service returns.

Returned by ``client.LabellingClient``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.error_table import MalformedError
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.annotation import SKIP, UNSURE, Kind, Receipt
from fedask.client.records.exhibit import Medium, Part
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.common.ids import Uid


class Content(StrEnum):
    """Whether the content of a sample came with its lease."""

    NOT_ASKED = "not asked"
    HERE = "here"
    LATER = "later"  # no room in that message: ask with ``show``
    TOO_LARGE = "too large"  # for any message
    GONE = "gone"  # not in the data any more, or not readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A sample on the annotator's screen.

    Parameters
    ----------
    token
        Goes back with the answer; the client does that.
    until
        When others may get the sample; an answer is taken later, too.
    cycle, origin
        When and why it was asked.
    near
        Near-duplicates that wait: a person may say that they are the same.
    parts
        What to show; empty unless ``content`` is HERE.
    """

    uid: Uid
    token: str = field(repr=False)
    until: datetime
    cycle: int
    origin: QueryOrigin
    near: tuple[Uid, ...]
    content: Content
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The classes, guidelines and limits of a device.

    Parameters
    ----------
    classes
        A label is an index into these.
    guidelines
        Of the site, plain text.
    rule
        How many must agree.
    lease_s
        Seconds until an unanswered sample goes to somebody else.
    max_window
        Samples that one annotator may hold.
    max_content_bytes
        Of what one message shows.
    """

    version: str
    classes: tuple[str, ...]
    guidelines: str
    rule: str
    lease_s: float
    max_window: int
    max_content_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How many samples are in each state, and how many answers there are.

    Parameters
    ----------
    states
        Samples per state.
    labels
        Samples per class index.
    today
        Answers of everybody since midnight UTC.
    mine
        Answers of this annotator that stand.
    """

    states: Mapping[ItemState, int]
    labels: Mapping[int, int]
    today: int
    mine: int


_ORIGINS = {
    pb.ORIGIN_CUT: QueryOrigin.CUT,
    pb.ORIGIN_SCORE: QueryOrigin.SCORE,
    pb.ORIGIN_CHANCE: QueryOrigin.CHANCE,
}
_CONTENTS = {
    pb.CONTENT_STATE_UNSPECIFIED: Content.NOT_ASKED,
    pb.CONTENT_STATE_HERE: Content.HERE,
    pb.CONTENT_STATE_LATER: Content.LATER,
    pb.CONTENT_STATE_TOO_LARGE: Content.TOO_LARGE,
    pb.CONTENT_STATE_GONE: Content.GONE,
}


def leased(lease: pb.Lease) -> Leased:
    """Read a lease.

    Raises
    ------
    MalformedError
        If it has a value that this version does not know.
    """
    try:
        origin, content = _ORIGINS[lease.origin], _CONTENTS[lease.content_state]
    except KeyError as err:
        raise MalformedError from err
    return Leased(
        uid=Uid(lease.uid),
        token=lease.token,
        until=conversion.from_time(lease.until),
        cycle=lease.cycle,
        origin=origin,
        near=tuple(Uid(uid) for uid in lease.near),
        content=content,
        parts=parts(lease.parts),
    )


def parts(written: Iterable[pb.Part]) -> tuple[Part, ...]:
    """Read the parts of a sample.

    Raises
    ------
    MalformedError
        If a medium is none that this version knows.
    """
    try:
        return tuple(
            Part(name=part.name, medium=Medium(part.medium), content=part.content)
            for part in written
        )
    except ValueError as err:
        raise MalformedError from err


def description(answer: pb.DescribeResponse) -> Description:
    """Read a description."""
    return Description(
        version=answer.version,
        classes=tuple(answer.classes),
        guidelines=answer.guidelines,
        rule=answer.rule,
        lease_s=answer.lease_s,
        max_window=answer.max_window,
        max_content_bytes=answer.max_content_bytes,
    )


def statistics(answer: pb.StatisticsResponse) -> Statistics:
    """Read the statistics.

    Raises
    ------
    MalformedError
        If a state is none that this version knows.
    """
    try:
        states = {ItemState(name): count for name, count in answer.states.items()}
    except ValueError as err:
        raise MalformedError from err
    return Statistics(
        states=states, labels=dict(answer.labels), today=answer.today, mine=answer.mine
    )


def receipt(answer: pb.SubmitResponse) -> Receipt:
    """Read a receipt.

    Raises
    ------
    MalformedError
        If it says nothing.
    """
    kinds = {"label": Kind.LABEL, "skip": SKIP, "unsure": UNSURE}
    kind = kinds.get(answer.WhichOneof("annotation") or "")
    if kind is None:
        raise MalformedError
    return Receipt(
        number=answer.number,
        uid=Uid(answer.uid),
        kind=kind,
        label=answer.label if kind is Kind.LABEL else None,
        at=conversion.from_time(answer.at),
        shared=tuple(Uid(uid) for uid in answer.shared),
    )
