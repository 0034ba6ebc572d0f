"""A message's model, made whole from what came and what the device holds."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import RecordDict
from numpy.typing import NDArray
from tests.support.common.wire import transport

from fedask.client.records.part_store import PartStore
from fedask.client.round.received_model import ReceivedModel, receive
from fedask.client.store.memory.parts import MemoryParts
from fedask.client.store.part_folder import PartFolder
from fedask.common.errors import ProtocolError
from fedask.common.ids import DeviceId, PartDigest
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import write_parts
from fedask.common.weights import to_record

WARD = DeviceId("ward")
MODEL: dict[str, NDArray[Any]] = {
    "encoder": np.arange(6, dtype=np.float32).reshape(2, 3),
    "mask": np.array([0.0, -np.inf], dtype=np.float32),
    "head": np.ones(3, dtype=np.float32),
}
MANIFEST = Manifest(
    tuple(
        ArrayEntry(
            name=name,
            shape=array.shape,
            dtype=array.dtype.name,
            kind=ArrayKind.PARAMETER if name == "head" else ArrayKind.CONSTANT,
        )
        for name, array in MODEL.items()
    )
)
PARTS = {name: ModelPart.of(MODEL[name]) for name in ("encoder", "mask")}
ENCODER, MASK = (part.digest for part in PARTS.values())


def message(
    *sent: PartDigest,
    parts: dict[str, ModelPart] | None = None,
    **by_value: NDArray[Any],
) -> RecordDict:
    """Return a message as it comes over the wire."""
    model = to_record(by_value or {"head": MODEL["head"]})
    named = write_parts(MANIFEST, PARTS if parts is None else parts, sent)
    return transport(RecordDict({"arrays": model, **named}))


def read(content: RecordDict, store: PartStore) -> ReceivedModel:
    return receive(content, MANIFEST, store, WARD)


def assert_whole(model: ReceivedModel, lacking: Collection[PartDigest] = ()) -> None:
    assert model.arrays is not None
    assert list(model.arrays) == list(MODEL)
    for name, array in model.arrays.items():
        assert array.tobytes() == MODEL[name].tobytes()
    assert model.lacking == set(lacking)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PartStore:
    return MemoryParts() if request.param == "memory" else PartFolder(tmp_path / "p")


def test_what_came_once_is_there_from_then_on(store: PartStore) -> None:
    assert_whole(read(message(ENCODER, MASK), store))
    assert_whole(read(message(), store))


def test_a_whole_model_needs_no_parts(store: PartStore) -> None:
    assert_whole(read(message(parts={}, **MODEL), store))


def test_who_lacks_a_part_keeps_what_came_and_asks_for_the_rest(
    store: PartStore,
) -> None:
    assert read(message(MASK), store) == ReceivedModel(None, frozenset({ENCODER}))
    assert_whole(read(message(ENCODER), store))
    assert_whole(read(message(), store))


def test_a_server_that_does_not_send_what_it_was_asked_for_is_told(
    store: PartStore,
) -> None:
    assert read(message(MASK), store).arrays is None
    for _ in range(2):
        with pytest.raises(ProtocolError, match="was asked for 1 parts of the model"):
            read(message(), store)
    assert_whole(read(message(ENCODER), store))


def test_what_cannot_be_kept_serves_once_and_is_asked_for(tmp_path: Path) -> None:
    store = PartFolder(tmp_path / "parts", max_bytes=0)

    for _ in range(2):
        assert_whole(read(message(ENCODER, MASK), store), {ENCODER, MASK})
    assert read(message(), store) == ReceivedModel(None, frozenset({ENCODER, MASK}))


def test_a_part_that_is_not_what_its_digest_says_is_not_kept(store: PartStore) -> None:
    content = message(ENCODER, MASK)
    wrong = dict(content.array_records["fedask.part-arrays"])
    wrong[ENCODER] = to_record({"a": MODEL["encoder"] + 1})["a"]
    content["fedask.part-arrays"] = type(content.array_records["arrays"])(wrong)

    with pytest.raises(ProtocolError, match="not what its digest"):
        read(content, store)
    assert store.get(ENCODER) is None
    assert store.get(MASK) is None


@pytest.mark.parametrize(
    "array", [MODEL["encoder"].T.copy(), MODEL["encoder"].astype(np.float64)]
)
def test_a_part_in_the_place_of_another_array_is_refused(
    store: PartStore, array: NDArray[Any]
) -> None:
    part = ModelPart.of(array)
    store.put([part], [])

    with pytest.raises(ProtocolError, match="'encoder' is named by the digest of"):
        read(message(MASK, parts={**PARTS, "encoder": part}), store)


def test_an_array_comes_by_value_or_as_a_part(store: PartStore) -> None:
    with pytest.raises(ProtocolError, match="'mask'] differ"):
        read(message(ENCODER, MASK, head=MODEL["head"], mask=MODEL["mask"]), store)
    with pytest.raises(ProtocolError, match="'mask'] differ"):
        read(message(ENCODER, parts={"encoder": PARTS["encoder"]}), store)


def test_values_that_no_sane_model_has_are_refused(store: PartStore) -> None:
    with pytest.raises(ProtocolError, match="'head'"):
        read(message(ENCODER, MASK, head=np.full(3, np.nan, np.float32)), store)
