"""Which parts go with which message to which node."""

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from tests.support.client.messages import pose_as_server

from fedask.common.errors import ProtocolError
from fedask.common.fields import SCHEMA
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import LACKING, PART_ARRAYS, PARTS, write_lacking
from fedask.common.weights import to_record
from fedask.server.part_delivery import PartDelivery

WARD, SHIP = 7, 8
PARTS_OF = {name: ModelPart.of(np.full(3, ord(name))) for name in "abc"}
A, B, C = (part.digest for part in PARTS_OF.values())
MANIFEST = Manifest(
    tuple(
        ArrayEntry(name=name, shape=(3,), dtype="int64", kind=ArrayKind.CONSTANT)
        for name in PARTS_OF
    )
)


CONTENT = RecordDict({"arrays": to_record({})})
ARRAYS = {name: part.array for name, part in PARTS_OF.items()}


@pytest.fixture
def delivery() -> PartDelivery:
    return PartDelivery(MANIFEST, ARRAYS)


def take(delivery: PartDelivery, *lacking: str, idle: bool = False) -> None:
    content = RecordDict(dict(write_lacking(lacking)))  # type: ignore[arg-type]
    delivery.take(WARD, content, idle=idle)


def carried(delivery: PartDelivery, node: int = WARD) -> set[str]:
    content = delivery.send(node, CONTENT)
    assert PARTS in content
    return set(content.get(PART_ARRAYS, {}))


def test_all_go_with_the_first_message_and_none_after_a_reply(
    delivery: PartDelivery,
) -> None:
    assert carried(delivery) == {A, B, C}
    take(delivery)
    assert carried(delivery) == set()
    assert carried(delivery, SHIP) == {A, B, C}


def test_a_message_without_a_reply_is_followed_by_one_with_all(
    delivery: PartDelivery,
) -> None:
    assert carried(delivery) == {A, B, C}
    assert carried(delivery) == {A, B, C}


def test_what_a_node_lacks_goes_with_its_next_message(delivery: PartDelivery) -> None:
    carried(delivery)
    take(delivery)
    carried(delivery)
    take(delivery, B, idle=True)
    assert carried(delivery) == {B}
    take(delivery)
    assert carried(delivery) == set()


def test_a_node_that_cannot_keep_a_part_gets_it_every_time(
    delivery: PartDelivery,
) -> None:
    for _ in range(3):
        assert B in carried(delivery)
        take(delivery, B)


@pytest.mark.parametrize("lacking", [(), (B,), (A, B, C)])
def test_who_is_idle_for_want_of_what_came_is_refused(
    delivery: PartDelivery, lacking: tuple[str, ...]
) -> None:
    carried(delivery)
    with pytest.raises(ProtocolError, match="that came with the message"):
        take(delivery, *lacking, idle=True)


@pytest.mark.parametrize("foreign", ["0" * 64, ModelPart.of(np.zeros(1)).digest])
def test_who_asks_for_what_is_no_part_is_refused(
    delivery: PartDelivery, foreign: str
) -> None:
    carried(delivery)
    with pytest.raises(ProtocolError, match="no such part"):
        take(delivery, foreign)
    assert carried(delivery) == {A, B, C}


def test_a_claim_is_capped_before_it_is_parsed(delivery: PartDelivery) -> None:
    record = ConfigRecord({"v": SCHEMA, "digests": bytes(32 * 4)})
    with pytest.raises(ProtocolError, match="up to 3 times 32"):
        delivery.take(WARD, RecordDict({LACKING: record}), idle=False)


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("ProtocolError: a part of the model is not what its digest says", {A, B, C}),
        ("UnavailableError: on battery", set()),
        ("StoreError: the log of this device says more", set()),
    ],
)
def test_after_a_message_that_was_found_wrong_all_go_again(
    delivery: PartDelivery, reason: str, again: set[str]
) -> None:
    pose_as_server()
    carried(delivery)
    take(delivery)
    asked = Message(RecordDict(), WARD, "train")
    asked.metadata.__dict__["_message_id"] = "1"
    delivery.take_error(Message(Error(0, reason), reply_to=asked))

    assert carried(delivery) == again


def test_messages_that_carry_the_same_share_their_records(
    delivery: PartDelivery,
) -> None:
    assert delivery.send(WARD, CONTENT) is delivery.send(SHIP, CONTENT)


def test_a_model_without_parts_is_not_spoken_of() -> None:
    nothing = PartDelivery(Manifest(()), {})
    assert nothing.send(WARD, CONTENT) == CONTENT
    nothing.take(WARD, RecordDict(), idle=False)


def test_what_gradients_move_is_no_part_and_all_else_is() -> None:
    kinds = [
        (kind, "int64" if kind == ArrayKind.COUNTER else "float32")
        for kind in ArrayKind
    ]
    entries = [
        ArrayEntry(name=kind, shape=(2,), dtype=dtype, kind=kind)
        for kind, dtype in kinds
    ]
    arrays = {str(kind): np.zeros(2, dtype) for kind, dtype in kinds}

    delivery = PartDelivery(Manifest(tuple(entries)), arrays)

    assert list(delivery.parts) == ["statistic", "counter", "constant"]


def test_an_array_that_moves_is_no_part_any_more(delivery: PartDelivery) -> None:
    carried(delivery)
    take(delivery)

    delivery.follow({**ARRAYS, "b": ARRAYS["b"] + 1, "c": ARRAYS["c"].copy()})
    assert list(delivery.parts) == ["a", "c"]
    assert carried(delivery) == set()
    assert carried(delivery, SHIP) == {A, C}

    delivery.follow(ARRAYS)  # nor is it one when it has come back
    assert list(delivery.parts) == ["a", "c"]


@pytest.mark.parametrize(("was", "now"), [(0.0, -0.0), (np.nan, -np.nan)])
def test_other_bits_are_another_array(was: float, now: float) -> None:
    entry = ArrayEntry(name="a", shape=(), dtype="float64", kind=ArrayKind.CONSTANT)
    delivery = PartDelivery(Manifest((entry,)), {"a": np.array(was)})

    delivery.follow({"a": np.array(was)})
    assert list(delivery.parts) == ["a"]
    delivery.follow({"a": np.array(now)})
    assert list(delivery.parts) == []
