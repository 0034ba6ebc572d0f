"""Parts in bytes and on the wire, whatever comes."""

import hashlib
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from tests.support.common.wire import transport

from fedask.common.errors import ProtocolError
from fedask.common.ids import PartDigest
from fedask.common.manifest import DTYPES, ArrayEntry, ArrayKind, Manifest
from fedask.common.part import ModelPart, from_bytes, pieces
from fedask.common.part_record import (
    LACKING,
    PARTS,
    read_lacking,
    read_parts,
    write_lacking,
    write_parts,
)

CHECK = settings(deadline=None)
NUMBERS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: arrays.arrays(
        np.dtype(dtype), arrays.array_shapes(min_dims=0, min_side=0, max_side=5)
    )
)


def encoded(array: NDArray[Any]) -> bytes:
    return b"".join(map(bytes, pieces(array)))


def manifest(values: list[NDArray[Any]]) -> Manifest:
    return Manifest(
        tuple(
            ArrayEntry(
                name=f"array.{index}",
                shape=value.shape,
                dtype=value.dtype.name,
                kind=ArrayKind.CONSTANT,
            )
            for index, value in enumerate(values)
        )
    )


@CHECK
@given(NUMBERS)
def test_a_part_comes_back_from_its_bytes_to_the_bit(array: NDArray[Any]) -> None:
    part, content = ModelPart.of(array), encoded(array)

    again = from_bytes(content, part.digest)

    assert again is not None
    assert (again.shape, again.dtype) == (array.shape, array.dtype)
    assert again.tobytes() == array.tobytes()
    assert (len(content) - array.nbytes) % 64 == 0


@CHECK
@given(NUMBERS, st.data())
def test_any_other_byte_is_another_part(
    array: NDArray[Any], data: st.DataObject
) -> None:
    part, content = ModelPart.of(array), bytearray(encoded(array))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    assert from_bytes(bytes(content), part.digest) is None


@CHECK
@given(NUMBERS, NUMBERS)
def test_a_digest_names_dtype_shape_and_values(
    one: NDArray[Any], two: NDArray[Any]
) -> None:
    same = encoded(one) == encoded(two)

    assert (ModelPart.of(one).digest == ModelPart.of(two).digest) == same
    assert same == (
        (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    )


@CHECK
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(
            st.from_regex(rb"[<|>=][biufcOV]\d{1,3} [\d,]{0,30} *\n", fullmatch=True),
            st.binary(max_size=200),
        ).map(b"".join),
    )
)
def test_bytes_of_the_right_digest_that_are_no_part_are_none(content: bytes) -> None:
    digest = PartDigest(hashlib.blake2b(content, digest_size=32).hexdigest())

    array = from_bytes(content, digest)

    assert array is None or encoded(array) == content


@CHECK
@given(st.lists(NUMBERS, max_size=5), st.data())
def test_parts_come_over_the_wire_as_they_were(
    values: list[NDArray[Any]], data: st.DataObject
) -> None:
    model = manifest(values)
    parts = {f"array.{i}": ModelPart.of(value) for i, value in enumerate(values)}
    known = sorted({part.digest for part in parts.values()})
    chosen = data.draw(st.sets(st.sampled_from(known))) if known else set()

    content = transport(RecordDict(dict(write_parts(model, parts, chosen))))
    found = read_parts(content, model)

    assert found.digests == {name: part.digest for name, part in parts.items()}
    assert set(found.sent) == chosen
    for digest, part in found.sent.items():
        assert ModelPart.of(part.array).digest == digest


@CHECK
@given(st.sets(st.integers(0, 9)), st.integers(0, 10))
def test_a_device_may_ask_for_parts_of_the_model_alone(
    asked: set[int], count: int
) -> None:
    known = [PartDigest(f"{number:064x}") for number in range(count)]
    lacking = [PartDigest(f"{number:064x}") for number in asked]
    content = transport(RecordDict(dict(write_lacking(lacking))))

    try:
        found = read_lacking(content, known)
    except ProtocolError:
        assert not set(lacking) <= set(known)
    else:
        assert found == set(lacking)


@CHECK
@given(st.binary(max_size=100))
def test_bytes_for_digests_are_refused_or_digests(encoded: bytes) -> None:
    record = ConfigRecord({"v": 1, "digests": encoded})
    content = RecordDict({LACKING: record})
    try:
        found = read_lacking(content, [PartDigest("0" * 64)])
    except ProtocolError:
        return
    assert found == {"0" * 64}


@CHECK
@given(
    st.dictionaries(
        st.sampled_from(["v", "manifest", "entries", "digests", "x"]),
        st.one_of(
            st.integers(-1, 3),
            st.sampled_from(["", "x", "0" * 32]),
            st.binary(max_size=70),
            st.booleans(),
        ),
    )
)
def test_whatever_names_parts_is_read_or_refused(fields: dict[str, Any]) -> None:
    model = manifest([np.zeros(2), np.zeros(3)])
    if fields.get("manifest") == "":
        fields["manifest"] = model.digest
    content = RecordDict({PARTS: ConfigRecord(fields)})
    try:
        read_parts(content, model)
    except ProtocolError:
        return
    assert set(fields) <= {"v", "manifest", "entries", "digests"}
