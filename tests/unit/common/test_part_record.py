"""Messages about parts that do not fit are refused by name."""

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import (
    NO_PARTS,
    PART_ARRAYS,
    PARTS,
    PartRecords,
    read_parts,
    write_parts,
)

WEIGHT, MASK = np.ones((2, 3), np.float32), np.array([0.0, -np.inf])
MANIFEST = Manifest(
    tuple(
        ArrayEntry(name=name, shape=value.shape, dtype=value.dtype.name, kind=kind)
        for name, value, kind in [
            ("weight", WEIGHT, ArrayKind.CONSTANT),
            ("head", WEIGHT, ArrayKind.PARAMETER),
            ("mask", MASK, ArrayKind.CONSTANT),
        ]
    )
)
PARTS_OF = {"weight": ModelPart.of(WEIGHT), "mask": ModelPart.of(MASK)}
ALL = {part.digest for part in PARTS_OF.values()}


def content(records: PartRecords | None = None) -> RecordDict:
    return RecordDict(dict(records or write_parts(MANIFEST, PARTS_OF, ALL)))


def fields(**changes: object) -> RecordDict:
    made = content()
    made[PARTS] = ConfigRecord({**made.config_records[PARTS], **changes})  # type: ignore[dict-item]
    return made


def sent(name: str, array: object) -> RecordDict:
    made = content()
    record = ArrayRecord(dict(made.array_records[PART_ARRAYS]))
    record[name] = array if isinstance(array, Array) else Array(np.asarray(array))
    made[PART_ARRAYS] = record
    return made


def test_a_message_without_parts_has_none() -> None:
    assert read_parts(RecordDict(), MANIFEST) is NO_PARTS


def test_only_the_parts_that_are_sent_are_carried() -> None:
    records = write_parts(MANIFEST, PARTS_OF, {PARTS_OF["mask"].digest})

    found = read_parts(content(records), MANIFEST)

    assert found.digests == {name: part.digest for name, part in PARTS_OF.items()}
    assert list(found.sent) == [PARTS_OF["mask"].digest]
    assert PART_ARRAYS not in write_parts(MANIFEST, PARTS_OF, ())


def test_equal_arrays_are_one_part() -> None:
    parts = {"weight": ModelPart.of(WEIGHT), "head": ModelPart.of(WEIGHT.copy())}

    found = read_parts(content(write_parts(MANIFEST, parts, ALL)), MANIFEST)

    assert list(found.digests) == ["weight", "head"]
    assert len(found.sent) == 1


FOREIGN = ModelPart.of(np.zeros(2)).digest
DIGEST = PARTS_OF["weight"].digest
WRONG: list[tuple[str, Callable[[], RecordDict]]] = [
    ("other arrays than this device's", lambda: fields(manifest="0" * 32)),
    ("entries must rise", lambda: fields(entries=b"\2\0\0\0\0\0\0\0")),
    ("entries must rise", lambda: fields(entries=b"\0\0\0\0\0\0\0\0")),
    ("entries must rise", lambda: fields(entries=b"\0\0\0\0\3\0\0\0")),
    ("entries must rise", lambda: fields(entries=b"\0\0\0\0")),
    ("at most 12 bytes", lambda: fields(entries=bytes(16))),
    ("no multiple of 4", lambda: fields(entries=bytes(7))),
    ("must be up to 3 times 32", lambda: fields(digests=bytes(128))),
    ("must be up to 3 times 32", lambda: fields(digests=bytes(63))),
    ("schema version 2", lambda: fields(v=2)),
    ("unknown fields", lambda: fields(more=1)),
    ("does not name", lambda: sent(FOREIGN, np.zeros(2))),
    ("does not name", lambda: sent("weight", WEIGHT)),
    ("not what its digest", lambda: sent(DIGEST, WEIGHT * 2)),
    ("is declared", lambda: sent(DIGEST, WEIGHT.astype(np.float64))),
    ("is declared", lambda: sent(DIGEST, WEIGHT.T)),
    (
        "bytes, must be 24",
        lambda: sent(DIGEST, Array("float32", (2, 3), "numpy.ndarray", bytes(2000))),
    ),
    (
        "not in .npy form",
        lambda: sent(DIGEST, Array("float32", (2, 3), "numpy.ndarray", bytes(30))),
    ),
    (
        "is no array record",
        lambda: RecordDict({**content(), PART_ARRAYS: ConfigRecord()}),
    ),
    ("but no fedask.parts", lambda: RecordDict({PART_ARRAYS: ArrayRecord()})),
]


@pytest.mark.parametrize(("why", "make"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_refused(why: str, make: Callable[[], RecordDict]) -> None:
    with pytest.raises(ProtocolError, match=why):
        read_parts(RecordDict(dict(make())), MANIFEST)
