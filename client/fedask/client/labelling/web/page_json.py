"""Reads and writes the JSON of the page's requests and replies. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedask.client.labelling.web.hints import Gain
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    Choice,
    Label,
    LabellingProgress,
    Lease,
)
from fedask.client.records.exhibit import Part
from fedask.client.records.label_queue import ItemState
from fedask.common.errors import ProtocolError
from fedask.common.ids import Uid

MAX_NEAR = 12  # near-duplicates offered together: as many as fit a screen
_UID_CHARACTERS, _KEY_CHARACTERS = 64, 128
_WITHOUT_CLASS: Mapping[object, Choice] = {"skip": SKIP, "unsure": UNSURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer on its way to the desk; see ``Desk.submit``."""

    uid: Uid
    token: str
    choice: Choice
    key: str
    also: tuple[Uid, ...]


def parse(body: bytes) -> Mapping[str, object]:
    """Read a request.

    Raises
    ------
    ProtocolError
        If it is no JSON object.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise ProtocolError("a request is no JSON") from err
    if not isinstance(found, dict):
        raise ProtocolError("a request is no JSON object")
    return found


def parse_answer(body: bytes) -> Answer:
    """Read an answer.

    Raises
    ------
    ProtocolError
        If a field is missing or wrong.
    """
    fields = parse(body)
    also = fields.get("also", [])
    if not isinstance(also, list) or len(also) > MAX_NEAR:
        raise ProtocolError(f"an answer shared with more than {MAX_NEAR}")
    return Answer(
        uid=Uid(text_of(fields.get("uid"), _UID_CHARACTERS)),
        token=text_of(fields.get("token"), _KEY_CHARACTERS),
        choice=_choice(fields.get("annotation")),
        key=text_of(fields.get("key"), _KEY_CHARACTERS),
        also=tuple(Uid(text_of(uid, _UID_CHARACTERS)) for uid in also),
    )


def text_of(value: object, most: int) -> str:
    """Return a text of 1 to ``most`` ASCII characters.

    Raises
    ------
    ProtocolError
        If it is none.
    """
    if isinstance(value, str) and 0 < len(value) <= most and value.isascii():
        return value
    raise ProtocolError("a field of a request is missing, too long or no text")


def number_of(value: object, most: int) -> int:
    """Return a whole number from 0 to ``most``.

    Raises
    ------
    ProtocolError
        If it is none.
    """
    if type(value) is int and 0 <= value <= most:
        return value
    raise ProtocolError("a field of a request is no number, or out of range")


def _choice(value: object) -> Choice:
    if type(value) is int:
        return Label(value)  # the desk knows the classes
    if isinstance(value, str) and value in _WITHOUT_CLASS:
        return _WITHOUT_CLASS[value]
    raise ProtocolError("an annotation is a class, skip or unsure")


def lease_to_json(lease: Lease, near: Sequence[Uid]) -> dict[str, Any]:
    """Write a lease for the browser that holds it; why it was asked is left out."""
    return {
        "uid": lease.uid,
        "token": lease.token,
        "until": lease.until.isoformat(),
        "near": list(near[:MAX_NEAR]),
    }


def part_to_json(part: Part) -> dict[str, Any]:
    """Write what the page should know of a part beside its content."""
    return {
        "name": part.name,
        "medium": part.medium.value,
        "reduced": part.remark.is_reduced,  # there is a full one
        "width": part.remark.width,
        "height": part.remark.height,
        "seconds": part.remark.seconds,
        "more_frames": part.remark.has_more_frames,
        "model_reads": part.remark.model_reads,
    }


def progress_to_json(progress: LabellingProgress, gain: Gain | None) -> dict[str, Any]:
    """Write the progress of the labelling."""
    states = progress.states
    return {
        "today": progress.today,
        "mine": sum(progress.annotators.values()),
        "left": states.get(ItemState.QUEUED, 0) + states.get(ItemState.LEASED, 0),
        "done": states.get(ItemState.LABELLED, 0) + states.get(ItemState.TRAINED, 0),
        "skipped": states.get(ItemState.SKIPPED, 0),
        "classes": {str(label): count for label, count in progress.classes.items()},
        "gain": None
        if gain is None
        else {
            "measure": gain.measure,
            "points": round(gain.points, 1),
            "since": gain.since.isoformat(),
        },
    }
