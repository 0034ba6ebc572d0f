"""Parts on the wire: which the model has, those that are sent, those that are missing.

Called by both halves. An array of the model is in a message either by value, in the
model's own record, or by digest, here. What the other side says is bounded by the
manifest, which each side reads off its own model, before anything is parsed.

=======================  ============  ===============================================
record                   kind          holds
=======================  ============  ===============================================
``fedask.parts``         ConfigRecord  down: ``v``; ``manifest``, its digest;
                                       ``entries``, rising little-endian uint32: which
                                       arrays of the manifest are parts; ``digests``,
                                       32 bytes for each
``fedask.part-arrays``   ArrayRecord   down: parts that go with this message, each by
                                       its digest in 64 hexadecimal digits
``fedask.lacking``       ConfigRecord  up: ``v``; ``digests`` of parts to send with
                                       the next message
=======================  ============  ===============================================
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedask.common.errors import ProtocolError
from fedask.common.fields import SCHEMA, Fields
from fedask.common.ids import PartDigest
from fedask.common.manifest import ArrayEntry, Manifest
from fedask.common.part import ModelPart
from fedask.common.weights import ArraySpec, to_record

PARTS = "fedask.parts"
PART_ARRAYS = "fedask.part-arrays"
LACKING = "fedask.lacking"
PART_RECORDS = (PARTS, PART_ARRAYS, LACKING)
_DIGEST_BYTES = 32

PartRecords = Mapping[str, ConfigRecord | ArrayRecord]


@dataclass(frozen=True, slots=True)
class PartList:
    """What a message says of parts.

    Parameters
    ----------
    digests
        Name of an array to the digest of its content.
    sent
        The parts that came with the message; each is what its digest says.
    """

    digests: Mapping[str, PartDigest]
    sent: Mapping[PartDigest, ModelPart]


NO_PARTS = PartList({}, {})


def write_parts(
    manifest: Manifest, parts: Mapping[str, ModelPart], sent: Collection[PartDigest]
) -> PartRecords:
    """Return the records that name parts and carry some of them; none without parts.

    Parameters
    ----------
    parts
        Name of an array to its part.
    sent
        Digests of those to carry.
    """
    if not parts:
        return {}
    entries = [i for i, entry in enumerate(manifest.entries) if entry.name in parts]
    named = [parts[manifest.entries[index].name] for index in entries]
    fields = ConfigRecord(
        {
            "v": SCHEMA,
            "manifest": manifest.digest,
            "entries": np.array(entries, dtype="<u4").tobytes(),
            "digests": _joined(part.digest for part in named),
        }
    )
    carried = {str(p.digest): p.array for p in named if p.digest in sent}
    if not carried:
        return {PARTS: fields}
    return {PARTS: fields, PART_ARRAYS: to_record(carried)}


def read_parts(content: RecordDict, manifest: Manifest) -> PartList:
    """Read which arrays of a message's model are parts, and the parts that came.

    Raises
    ------
    ProtocolError
        If it is of another manifest, names an array twice or one that is not there, or
        a part came that it does not name, or that has another shape, dtype or size,
        does not decode, or is not what its digest says.
    """
    if PARTS not in content:
        if PART_ARRAYS in content:
            raise ProtocolError(f"the message has {PART_ARRAYS}, but no {PARTS}")
        return NO_PARTS
    fields = Fields(content, PARTS)
    theirs, most = fields.take("manifest", str), len(manifest.entries)
    rows = fields.take_array("entries", "<u4", most)
    digests = _split(fields.take("digests", bytes), most)
    fields.done()
    if theirs != manifest.digest:
        raise ProtocolError(
            f"the server's model has other arrays than this device's: manifest "
            f"{theirs!r:.40}, not {manifest.digest}; are task and fedask the same?"
        )
    rising = all(low < high for low, high in pairwise(rows))
    if len(rows) != len(digests) or not rising or max(rows, default=0) >= most:
        raise ProtocolError(f"{PARTS}: entries must rise and have a digest each")
    named = [manifest.entries[row] for row in rows]
    pairs = dict(zip(digests, named, strict=True))
    by_name = {e.name: d for e, d in zip(named, digests, strict=True)}
    return PartList(by_name, _read_sent(content, pairs))


def _read_sent(
    content: RecordDict, named: Mapping[PartDigest, ArrayEntry]
) -> dict[PartDigest, ModelPart]:
    record = content.get(PART_ARRAYS, ArrayRecord())
    if not isinstance(record, ArrayRecord):
        raise ProtocolError(f"{PART_ARRAYS} is no array record")
    came = {digest: entry for digest, entry in named.items() if digest in record}
    if len(record) != len(came):
        raise ProtocolError(f"{PART_ARRAYS} holds parts that {PARTS} does not name")
    shapes = {str(d): (entry.shape, entry.dtype) for d, entry in came.items()}
    arrays = ArraySpec(shapes).decode(record)
    sent = {digest: ModelPart.of(arrays[digest]) for digest in came}
    for digest, part in sent.items():
        if part.digest != digest:
            raise ProtocolError(
                f"a part of the model is not what its digest {digest:.16}... says"
            )
    return sent


def write_lacking(lacking: Collection[PartDigest]) -> PartRecords:
    """Return the record that asks for parts; none if nothing is missing."""
    if not lacking:
        return {}
    return {LACKING: ConfigRecord({"v": SCHEMA, "digests": _joined(sorted(lacking))})}


def read_lacking(
    content: RecordDict, known: Collection[PartDigest]
) -> frozenset[PartDigest]:
    """Read which parts a device asks for.

    Parameters
    ----------
    known
        Parts that it may ask for.

    Raises
    ------
    ProtocolError
        If it asks for anything else.
    """
    if LACKING not in content:
        return frozenset()
    fields = Fields(content, LACKING)
    lacking = frozenset(_split(fields.take("digests", bytes), len(known)))
    fields.done()
    if not lacking <= set(known):
        raise ProtocolError(f"{LACKING}: the model has no such part")
    return lacking


def _joined(digests: Iterable[PartDigest]) -> bytes:
    return b"".join(map(bytes.fromhex, digests))


def _split(encoded: bytes, most: int) -> tuple[PartDigest, ...]:
    if len(encoded) % _DIGEST_BYTES or len(encoded) > most * _DIGEST_BYTES:
        raise ProtocolError(
            f"digests of parts have {len(encoded)} bytes, must be up to {most} times "
            f"{_DIGEST_BYTES}"
        )
    starts = range(0, len(encoded), _DIGEST_BYTES)
    return tuple(
        PartDigest(encoded[start : start + _DIGEST_BYTES].hex()) for start in starts
    )
