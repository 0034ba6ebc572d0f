"""Parts on the wire: which the model has, those that are sent, those that are missing.

Called by both halves. What the other side says is bounded before anything is parsed:
by the arrays of the model that do not change, which each side knows by itself.
"""

from collections.abc import Collection, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedask.common.errors import ProtocolError
from fedask.common.fields import SCHEMA, Fields
from fedask.common.ids import PartDigest
from fedask.common.part import Part
from fedask.common.weights import ArraySpec, Shape, to_record

PARTS = "fedask.parts"
PART_ARRAYS = "fedask.part-arrays"
LACKING = "fedask.lacking"
_DIGEST_BYTES = 32


def write_parts(
    parts: Sequence[Part], sent: Collection[PartDigest]
) -> dict[str, ConfigRecord | ArrayRecord]:
    """Return the records that name the parts of a model and carry some of them.

    Parameters
    ----------
    parts
        In the order of the manifest; at least one.
    sent
        Digests of those to carry.
    """
    named = ConfigRecord({"v": SCHEMA, "digests": _joined(p.digest for p in parts)})
    carried = {p.digest: p.array for p in parts if p.digest in sent}
    records: dict[str, ConfigRecord | ArrayRecord] = {PARTS: named}
    if carried:
        records[PART_ARRAYS] = to_record({str(k): v for k, v in carried.items()})
    return records


def read_parts(
    content: RecordDict, shapes: Sequence[Shape]
) -> tuple[tuple[PartDigest, ...], dict[PartDigest, Part]] | None:
    """Read which parts the model of a message has, and those that came with it.

    Parameters
    ----------
    shapes
        (shape, dtype name) of the arrays that do not change, in their order.

    Returns
    -------
    tuple
        One digest for each of them, and the parts that came, each of its digest.
        None if the message does not speak of parts.

    Raises
    ------
    ProtocolError
        If there are not as many digests as arrays, or a part came that is not one of
        them, has another shape, dtype or size, does not decode, or is not what its
        digest says.
    """
    if PARTS not in content:
        if PART_ARRAYS in content:
            raise ProtocolError(f"the message has {PART_ARRAYS}, but no {PARTS}")
        return None
    fields = Fields(content, PARTS)
    digests = _split(fields.take("digests", bytes), f"{PARTS}: digests")
    fields.done()
    if len(digests) != len(shapes):
        raise ProtocolError(
            f"{PARTS} names {len(digests)} parts, the model has {len(shapes)}"
        )
    return digests, _read_sent(content, dict(zip(digests, shapes, strict=True)))


def _read_sent(
    content: RecordDict, shapes: Mapping[PartDigest, Shape]
) -> dict[PartDigest, Part]:
    record = content.get(PART_ARRAYS, ArrayRecord())
    if not isinstance(record, ArrayRecord):
        raise ProtocolError(f"{PART_ARRAYS} is no array record")
    named = {digest: shape for digest, shape in shapes.items() if digest in record}
    if len(record) != len(named):
        raise ProtocolError(f"{PART_ARRAYS} holds parts that {PARTS} does not name")
    arrays = ArraySpec({str(k): shape for k, shape in named.items()}).decode(record)
    sent = {digest: Part.of(arrays[digest]) for digest in named}
    for digest, part in sent.items():
        if part.digest != digest:
            raise ProtocolError(
                f"part {digest:.16}... of the model is not what its digest says"
            )
    return sent


def write_lacking(lacking: Collection[PartDigest]) -> dict[str, ConfigRecord]:
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
        The parts of the model.

    Raises
    ------
    ProtocolError
        If it asks for anything else.
    """
    if LACKING not in content:
        return frozenset()
    fields = Fields(content, LACKING)
    encoded = fields.take("digests", bytes)
    fields.done()
    if len(encoded) > _DIGEST_BYTES * len(known):
        raise ProtocolError(f"{LACKING}: more parts than the model has")
    lacking = frozenset(_split(encoded, f"{LACKING}: digests"))
    if not lacking <= set(known):
        raise ProtocolError(f"{LACKING}: parts that the model does not have")
    return lacking


def _joined(digests: Collection[PartDigest]) -> bytes:
    return b"".join(map(bytes.fromhex, digests))


def _split(encoded: bytes, what: str) -> tuple[PartDigest, ...]:
    if len(encoded) % _DIGEST_BYTES:
        raise ProtocolError(
            f"{what} have {len(encoded)} bytes, no multiple of {_DIGEST_BYTES}"
        )
    starts = range(0, len(encoded), _DIGEST_BYTES)
    return tuple(
        PartDigest(encoded[start : start + _DIGEST_BYTES].hex()) for start in starts
    )
