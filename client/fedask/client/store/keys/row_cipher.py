"""Seals and opens the secret columns of each row. Called by the parts of the store.

A label is eight bytes whatever its class; what a person said is padded, so that the
length of an envelope does not tell a name. An envelope is bound to what stands beside
it in clear, so that no row can be given another's.
"""

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.records.pseudo_label import PseudoLabel
from fedask.client.records.query_outcome import QueryOutcome, QueryRecord
from fedask.client.records.sample_record import LeaseRecord
from fedask.client.store.keys.key_vault import KeyVault
from fedask.common.errors import SealError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid
from fedask.common.seal import Place, seal, unseal

_PAD = 64  # bytes, to a multiple of which texts are filled up
_LABEL = struct.Struct(">q")
_OUTCOME = struct.Struct(">d?")
_NONE = -1  # in the place of a label


class RowCipher:
    """Writes and reads the secret columns, within one open transaction."""

    def __init__(self, key_vault: KeyVault) -> None:
        self._key_vault = key_vault

    def seal_label(self, uid: Uid, label: int | None) -> bytes | None:
        """Return ``item.label``."""
        return None if label is None else self._seal_label("item", uid, label)

    def label(self, uid: Uid, envelope: bytes | None) -> int | None:
        """Read ``item.label``."""
        return None if envelope is None else self._label("item", uid, envelope)

    def _seal_label(self, table: str, uid: Uid, label: int) -> bytes:
        return self._key_vault.seal(Place(table, "label", uid), _LABEL.pack(label))

    def _label(self, table: str, uid: Uid, envelope: bytes) -> int:
        content = self._key_vault.unseal(Place(table, "label", uid), envelope)
        return int(_LABEL.unpack(content)[0])

    def item(self, row: Sequence[Any]) -> Item:
        """Read a row of ``schema.ITEM``."""
        uid, state, cycle, label, asked, expired, until, origin, outcome = row
        return Item(
            uid=Uid(uid),
            state=ItemState(state),
            cycle=cycle,
            label=self.label(Uid(uid), label),
            asked=asked,
            expired=expired,
            leased_until=_time(until),
            origin=QueryOrigin(origin),
            outcome=None if outcome is None else ItemState(outcome),
        )

    def who(self, annotator: Annotator) -> bytes:
        """Return the pseudonym of an annotator."""
        return self._key_vault.name("annotator", annotator)

    def key(self, annotator: Annotator, key: str) -> bytes:
        """Return the pseudonym of an annotator's idempotency key."""
        return self._key_vault.name("key", annotator, key)

    def seal_annotation(self, annotation: Annotation, at: str | None) -> dict[str, Any]:
        """Return an annotation's columns annotator, key and content."""
        annotator = self.who(annotation.annotator)
        key = self.key(annotation.annotator, annotation.key)
        clear = (
            annotation.kind,
            at,
            annotator,
            key,
            annotation.control,
            annotation.place,
        )
        label = _NONE if annotation.label is None else annotation.label
        content = _LABEL.pack(label) + _packed(
            annotation.annotator, annotation.key, annotation.token
        )
        place = _content_of(annotation.uid, clear)
        return {
            "annotator": annotator,
            "key": key,
            "content": self._key_vault.seal(place, content),
        }

    def annotation(self, row: Sequence[Any]) -> Annotation:
        """Read a row of ``schema.ANNOTATION``."""
        number, uid, who, kind, at, key_name, said, undone, control, place = row
        clear = (kind, at, who, key_name, control, place)
        content = self._key_vault.unseal(_content_of(uid, clear), said)
        (label,) = _LABEL.unpack(content[: _LABEL.size])
        annotator, key, token = _unpacked(content[_LABEL.size :], 3)
        return Annotation(
            number=number,
            uid=Uid(uid),
            annotator=Annotator(annotator),
            kind=Kind(kind),
            label=None if label == _NONE else label,
            at=_time(at),
            key=key,
            token=token,
            undone=_time(undone),
            control=bool(control),
            place=place or number,
        )

    def seal_lease(self, uid: Uid, lease: LeaseRecord) -> bytes:
        """Return ``lease.content``: whose it is, and its token."""
        place = _lease_of(uid, self.who(lease.annotator))
        return self._key_vault.seal(place, _packed(lease.annotator, lease.token))

    def lease(self, uid: Uid, row: Sequence[Any]) -> LeaseRecord:
        """Read a row of annotator, content, until, control."""
        who, held, until, control = row
        content = self._key_vault.unseal(_lease_of(uid, who), held)
        annotator, token = _unpacked(content, 2)
        return LeaseRecord(
            annotator=Annotator(annotator),
            token=token,
            until=_time(until),
            control=bool(control),
        )

    def seal_outcome(self, uid: Uid, truth: float, *, hit: bool) -> bytes:
        """Return ``query_record.outcome``: with the model, it tells the label."""
        content = _OUTCOME.pack(truth, hit)
        return self._key_vault.seal(Place("query_record", "outcome", uid), content)

    def query_record(self, row: Sequence[Any]) -> QueryRecord:
        """Read a row of ``schema.QUERY_RECORD``."""
        uid, cycle, experts, descriptors, levels, found, envelope = row
        outcome = None
        if found is not None:
            content = self._key_vault.unseal(
                Place("query_record", "outcome", uid), envelope
            )
            truth, hit = _OUTCOME.unpack(content)
            outcome = QueryOutcome(cycle=found, truth=truth, hit=hit)
        return QueryRecord(
            uid=Uid(uid),
            cycle=cycle,
            experts=experts,
            descriptors=tuple(np.frombuffer(descriptors, dtype="<f4").tolist()),
            levels=tuple(np.frombuffer(levels, dtype="<f4").tolist()),
            outcome=outcome,
        )

    def seal_pseudo_label(self, given: PseudoLabel) -> tuple[object, ...]:
        """Write a row of ``schema.PSEUDO_LABEL``."""
        label = self._seal_label("pseudo_label", given.uid, given.label)
        return (given.uid, label, given.confidence, given.control, given.cycle)

    def pseudo_label(self, row: Sequence[Any]) -> PseudoLabel:
        """Read a row of ``schema.PSEUDO_LABEL``."""
        uid, envelope, confidence, control, cycle = row
        return PseudoLabel(
            uid=Uid(uid),
            label=self._label("pseudo_label", uid, envelope),
            confidence=confidence,
            control=bool(control),
            cycle=cycle,
        )

    def seal_scores(self, scored: Scored) -> list[bytes]:
        """Return uids, scores and groups: predicted classes are nearly labels."""
        columns = (
            ("uids", " ".join(scored.uids.tolist()).encode()),
            ("scores", scored.scores.astype("<f4").tobytes()),
            ("groups", scored.groups.astype("<i4").tobytes()),
        )
        key = self._key_vault.key_for("scoring")
        return [seal(key, data, Place("scoring", name)) for name, data in columns]

    def scores(self, row: Sequence[bytes]) -> Scored:
        """Read what ``seal_scores`` returned."""
        key = self._key_vault.key_for("scoring")
        uids, scores, groups = (
            unseal(key, data, Place("scoring", name))
            for name, data in zip(("uids", "scores", "groups"), row, strict=True)
        )
        return Scored(
            np.array(uids.decode().split(), dtype=np.str_),
            np.frombuffer(scores, dtype="<f4").astype(np.float32),
            np.frombuffer(groups, dtype="<i4").astype(np.int64),
        )


def from_query_record(query_record: QueryRecord) -> tuple[object, ...]:
    """Write a query record without an outcome: five of ``schema.QUERY_RECORD``."""
    numbers = (query_record.descriptors, query_record.levels)
    blobs = (np.array(each, dtype="<f4").tobytes() for each in numbers)
    return (query_record.uid, query_record.cycle, query_record.experts, *blobs)


def _content_of(uid: str, clear: Sequence[object]) -> Place:
    """Bind an annotation's content to the columns that stand beside it in clear."""
    kind, at, who, key, control, place = clear
    names = b"".join(each if isinstance(each, bytes) else b"" for each in (who, key))
    text = f"content {kind} {at} {names.hex()} {int(bool(control))} {place}"
    return Place("annotation", text, uid)


def _lease_of(uid: str, who: bytes) -> Place:
    return Place("lease", f"content {who.hex()}", uid)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _packed(*texts: str) -> bytes:
    """Write texts, each after its length in two bytes, filled up with zeros."""
    raw = [text.encode("utf-8", "surrogateescape") for text in texts]
    data = b"".join(len(each).to_bytes(2, "big") + each for each in raw)
    return data + bytes(-len(data) % _PAD)


def _unpacked(data: bytes, count: int) -> list[str]:
    """Read what ``_packed`` wrote."""
    texts, at = [], 0
    for _ in range(count):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise SealError
        texts.append(data[start:at].decode("utf-8", "surrogateescape"))
    return texts
