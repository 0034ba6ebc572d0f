import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    Message,
    MetricRecord,
    RecordDict,
)
from tests.support.client.messages import (
    Site,
    arrays,
    ask_record,
    pose_as_server,
    train_content,
)
from tests.support.client.world import SCENARIO, first_cut, whole_cut

from fedask.common.policies.policy import make_policy
from fedask.common.records import ASK, Report

BAD_MODEL = "arrays do not match the model"


@pytest.fixture(autouse=True)
def _server() -> None:
    pose_as_server()


def report_of(reply: Message) -> Report:
    assert not reply.has_error(), reply.error.reason
    policy = make_policy(SCENARIO.ask, 3)
    return Report.from_content(
        reply.content, num_classes=3, grid_shape=policy.traits.grid_shape
    )


def reason_of(reply: Message) -> str:
    assert reply.has_error()
    return str(reply.error.reason)


def weights_of(reply: Message) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in reply.content.array_records["arrays"].items()}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("v", 2, "schema version 2, this side knows 1"),
        ("v", None, "schema version None"),
        ("cycle", None, "cycle must be int, not None"),
        ("cycle", "1", "cycle must be int, not '1'"),
        ("cycle", 0, "cycle is 0, must be 1"),
        ("cycle", 2**40, "cycle is 1099511627776"),
        ("step", -1, "ask step is -1"),
        ("step", 0.0, "step must be int"),
        ("score", "xyz", "model version 'xyz'"),
        ("score", 5, "score must be str"),
        ("cut.nonce", -1, "cut nonce is -1"),
        ("cut.model", "no version", "model version 'no version'"),
        ("cut.theta", b"\x00", "cut.theta has 1 bytes, no multiple of 2"),
        ("cut.theta", b"\xff\xff" * 3, "cut theta is 65535"),
        ("cut.theta", b"\x00" * 20_000, "cut.theta must be at most"),
        ("cut.theta", [1, 2, 3], "cut.theta must be at most"),
        ("cut.boundary", 3, "cut boundary is 3"),
        ("cut.rho", float("nan"), "cut rho is nan"),
        ("cut.rho", 2.0, "cut rho is 2.0"),
        ("cut.take", -1, "cut take is -1"),
        ("cut.take", True, "cut.take must be int"),
        ("cut.ticket", float("inf"), "cut ticket is inf"),
        ("cut.extra", 1, "unknown fields"),
        ("another", "x", "unknown fields"),
    ],
)
def test_a_malformed_ask_gets_an_error_reply(
    field: str,
    value: float | str | bytes | list[int] | None,
    reason: str,
) -> None:
    site = Site()
    record = ask_record(cut=whole_cut(1, "0" * 16))
    if value is None:
        del record[field]
    else:
        record[field] = value

    reply = site.send(train_content(record))

    assert "ProtocolError: " in reason_of(reply)
    assert reason in reason_of(reply)
    assert site.opened == []  # refused before the device is touched


def without_ask() -> RecordDict:
    return RecordDict({"arrays": arrays()})


def ask_of_another_kind() -> RecordDict:
    return RecordDict({"arrays": arrays(), ASK: MetricRecord({"v": 1})})


def without_model() -> RecordDict:
    return RecordDict({ASK: ask_record()})


def with_two_models() -> RecordDict:
    return train_content(ask_record(), more=arrays())


def with_model(**changed: Array | None) -> RecordDict:
    record = ArrayRecord(dict(arrays()))
    for name, array in changed.items():
        if array is None:
            del record[name.replace("_", ".")]
        else:
            record[name.replace("_", ".")] = array
    return RecordDict({"arrays": record, ASK: ask_record(cut=first_cut())})


def weight(value: float, dtype: str = "float32") -> Array:
    return Array(np.full((3, 4), value, dtype=dtype))


def encoded(data: bytes) -> Array:
    return Array("float32", (3, 4), "numpy.ndarray", data)


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.full((3, 4), print, dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (without_ask, f"the message has no {ASK} record"),
        (ask_of_another_kind, f"the message has no {ASK} record"),
        (without_model, "0 array records, must have one"),
        (with_two_models, "2 array records, must have one"),
        (lambda: with_model(**{"1_weight": None}), BAD_MODEL),
        (lambda: with_model(more=weight(0)), BAD_MODEL),
        (lambda: with_model(**{"1_weight": Array(np.zeros((4, 3)))}), "must be"),
        (lambda: with_model(**{"1_weight": weight(0, "float64")}), "is declared"),
        (lambda: with_model(**{"1_weight": weight(np.nan)}), "holds NaN, infinity"),
        (lambda: with_model(**{"1_weight": weight(-np.inf)}), "holds NaN, infinity"),
        (lambda: with_model(**{"1_weight": weight(1e9)}), "values beyond 65536"),
        (lambda: with_model(**{"1_weight": encoded(b"short")}), "array '1.weight'"),
        (lambda: with_model(**{"1_weight": encoded(objects())}), "array '1.weight'"),
        (lambda: with_model(**{"1_weight": encoded(b"0" * 5000)}), "has 5000 bytes"),
        (
            lambda: with_model(**{"1_weight": encoded(pickle.dumps(print))}),
            "array '1.weight'",
        ),
    ],
)
def test_a_message_that_does_not_fit_gets_an_error_reply(
    content: Callable[[], RecordDict], reason: str
) -> None:
    site = Site()

    reply = site.send(content())

    assert reason_of(reply).startswith("ProtocolError: ")
    assert reason in reason_of(reply)
    assert site.world.items() == {}
    # The next, sane message is answered as if nothing had been.
    after = site.send(train_content(ask_record(cut=first_cut())))
    assert report_of(after).answered == 2


@pytest.mark.parametrize(
    "content", [without_model, with_two_models, lambda: with_model(more=weight(0))]
)
def test_an_evaluation_that_does_not_fit_gets_an_error_reply(
    content: Callable[[], RecordDict],
) -> None:
    assert reason_of(Site().send(content(), "evaluate")).startswith("ProtocolError: ")
