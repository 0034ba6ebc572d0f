"""Converts messages of ``fedask.labelling.v1`` to records of the desk, and back.

Called by the RPC adapter, the servicer and the client. What comes in is of at most the
size that the transport let through; what does not fit the message exactly is refused.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from fedask.client.labelling.desk.answer import MAX_KEY
from fedask.client.labelling.grpc.error_table import MalformedError
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    Choice,
    Kind,
    Label,
    Lease,
    Receipt,
)
from fedask.client.records.exhibit import Part
from fedask.client.records.label_queue import QueryOrigin
from fedask.common.ids import Uid

MAX_ALSO = 64  # near-duplicates in one answer
_MAX_TEXT = 128  # characters of a uid or a token: both have about 32

_Message = TypeVar("_Message", bound=Message)
_ORIGINS = {
    QueryOrigin.CUT: pb.ORIGIN_CUT,
    QueryOrigin.SCORE: pb.ORIGIN_SCORE,
    QueryOrigin.CHANCE: pb.ORIGIN_CHANCE,
}


def parse(kind: type[_Message], raw: bytes) -> _Message:
    """Read a message of which every field is known.

    Raises
    ------
    MalformedError
        If it is no such message, or has a field that is not in this version.
    """
    message: _Message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError as err:
        raise MalformedError from err
    size = message.ByteSize()
    message.DiscardUnknownFields()  # in every part of it
    if message.ByteSize() != size:
        raise MalformedError
    return message


def short(text: str) -> str:
    """Return a uid or a token, unless it is too long.

    Raises
    ------
    MalformedError
        If it is longer than any.
    """
    if len(text) > _MAX_TEXT:
        raise MalformedError
    return text


def from_time(written: Timestamp) -> datetime:
    """Read a time.

    Raises
    ------
    MalformedError
        If it is none.
    """
    try:
        time: datetime = written.ToDatetime(UTC)
    except (ValueError, OverflowError) as err:
        raise MalformedError from err
    return time


def to_lease(lease: Lease, near: Iterable[Uid]) -> pb.Lease:
    """Write a lease without content."""
    return pb.Lease(
        uid=lease.uid,
        token=lease.token,
        until=lease.until,
        cycle=lease.cycle,
        origin=_ORIGINS[lease.origin],
        near=near,
    )


def to_parts(parts: Iterable[Part]) -> list[pb.Part]:
    """Write the parts of a sample."""
    return [
        pb.Part(name=part.name, medium=part.medium.value, content=part.content)
        for part in parts
    ]


def from_submit(request: pb.SubmitRequest, classes: int) -> Choice:
    """Read the annotation in a request.

    Raises
    ------
    MalformedError
        If they say nothing, the label is no class, or key or near-duplicates are out
        of range.
    """
    kind = request.WhichOneof("annotation")
    shared = len(request.also)
    ok = 1 <= len(request.key) <= MAX_KEY and shared <= MAX_ALSO
    if kind is None or not ok or (shared and kind != "label"):
        raise MalformedError
    if kind != "label":
        return SKIP if kind == "skip" else UNSURE
    if request.label >= classes:
        raise MalformedError
    return Label(request.label)


def to_receipt(receipt: Receipt) -> pb.SubmitResponse:
    """Write a receipt."""
    answer = pb.SubmitResponse(
        number=receipt.number,
        uid=receipt.uid,
        at=receipt.at,
        shared=receipt.shared,
    )
    if receipt.kind is Kind.LABEL and receipt.label is not None:
        answer.label = receipt.label
    elif receipt.kind is SKIP:
        answer.skip.SetInParent()
    else:
        answer.unsure.SetInParent()
    return answer
