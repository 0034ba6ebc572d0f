"""One bad reply among good ones: it is dropped and named, the rest is aggregated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord
from flwr.app import RecordDict as Content
from flwr.serverapp.strategy import FedAvg, FedMedian, Strategy
from tests.unit.server.scripted import (
    CLASSES,
    FIRST_NODE,
    Bench,
    Edit,
    grid_of,
    honest,
    model,
    name_of,
    reply,
    report,
    same,
    silent,
    values,
)

from fedask.common.records import GRID, REPORT

OFFENDER = FIRST_NODE + 1  # neither the first nor the last to reply
BIG = np.full((2, CLASSES), 65_537.0, dtype=np.float32)


def _array(name: str, value: object) -> Edit:
    def edit(content: Content) -> None:
        record = ArrayRecord(dict(content.array_records["arrays"]))
        if value is None:
            del record[name]
        else:
            record[name] = value if isinstance(value, Array) else Array(np.array(value))
        content["arrays"] = record

    return edit


def _metric(name: str, value: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        metrics = dict(content.metric_records["metrics"])
        metrics.pop(name, None)
        content["metrics"] = MetricRecord(
            metrics if value is None else {**metrics, name: value}
        )

    return edit


def _field(name: str, value: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        content[REPORT] = ConfigRecord({**content.config_records[REPORT], name: value})

    return edit


def _record(name: str, record: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        if record is None:
            del content[name]
        else:
            content[name] = record

    return edit


def _holed(value: float) -> Array:
    holed = model()["w"]
    holed[1, 2] = value
    return Array(holed)


def _bytes(data: bytes) -> Array:
    return Array("float32", (CLASSES,), "numpy.ndarray", data)


W, B = (2, CLASSES), (CLASSES,)
BAD_UPDATES: dict[str, tuple[Edit, str]] = {
    "nan": (_array("w", _holed(np.nan)), "'w' holds NaN, infinity or values beyond"),
    "infinity": (_array("w", _holed(-np.inf)), "'w' holds NaN, infinity or values"),
    "absurd value": (_array("w", BIG), "values beyond 65536"),
    "wrong shape": (
        _array("w", np.zeros((CLASSES, 2), np.float32)),
        "'w' is declared ((3, 2), 'float32'), must be ((2, 3), 'float32')",
    ),
    "wrong dtype": (_array("w", np.zeros(W)), "'w' is declared ((2, 3), 'float64')"),
    "shape that lies": (
        _array("b", _bytes(Array(np.zeros((1, CLASSES), np.float32)).data)),
        "'b' decodes to (1, 3)",
    ),
    "dtype that lies": (
        _array("b", _bytes(Array(np.zeros(B, np.int32)).data)),
        "'b' decodes to (3,) int32",
    ),
    "no npy": (_array("b", _bytes(b"junk")), "array 'b'"),
    "npy header alone": (_array("b", _bytes(b"\x93NUMPY\x01\x00\xff\xff{")), "'b'"),
    "zip for npy": (_array("b", _bytes(b"PK\x03\x04" + b"\0" * 60)), "array 'b'"),
    "too many bytes": (_array("b", _bytes(b"\0" * 9999)), "'b' has 9999 bytes"),
    "missing array": (_array("b", None), "arrays do not match the model: ['b']"),
    "extra array": (_array("more", np.zeros(1)), "do not match the model: ['more']"),
    "second model": (_record("again", ArrayRecord()), "the reply has 2 models"),
    "no model": (_record("arrays", None), "num-examples without a model"),
    "second metrics": (
        _record("again", MetricRecord({"num-examples": 3})),
        "the reply has 2 metric records",
    ),
    "no metrics": (_record("metrics", None), "the reply has 0 metric records"),
    "foreign config": (
        _record("raw-data", ConfigRecord({"x": 1})),
        "1 metric records and ['raw-data']",
    ),
    "heavier than its labels": (
        _metric("num-examples", 4),
        "num-examples is 4, but 3 are labelled",
    ),
    "negative weight": (_metric("num-examples", -3), "num-examples is -3"),
    "weight nan": (_metric("num-examples", np.nan), "num-examples is nan"),
    "weight list": (_metric("num-examples", [3]), "num-examples is [3]"),
    "no weight": (_metric("num-examples", None), "num-examples is None"),
    "model without weight": (
        _metric("num-examples", 0),
        "or a model without them",
    ),
    "loss infinite": (_metric("train-loss", np.inf), "a finite train-loss, not inf"),
    "loss nan": (_metric("train-loss", np.nan), "a finite train-loss, not nan"),
    "loss list": (_metric("train-loss", [0.5]), "a finite train-loss, not [0.5]"),
    "no loss": (_metric("train-loss", None), "a finite train-loss, not None"),
    "extra metric": (_metric("accuracy", 1.0), "metrics must be num-examples and"),
}

BAD_REPORTS: dict[str, tuple[Edit, str]] = {
    "no report": (_record(REPORT, None), "the message has no fedask.report record"),
    "report of another kind": (
        _record(REPORT, MetricRecord({"v": 1})),
        "the message has no fedask.report record",
    ),
    "newer schema": (_field("v", 2), "fedask.report has schema version 2"),
    "unknown field": (_field("image", b"\0"), "unknown fields ['image']"),
    "hostile device id": (_field("device", "../../etc"), "device id '../../etc' must"),
    "numeric device id": (_field("device", 7), "device must be str, not 7"),
    "unknown reason": (_field("refused", "because"), "unknown reason 'because'"),
    "counts cut short": (_field("counts", b"\0" * 28), "report has 2 classes, not 3"),
    "counts endless": (_field("counts", b"\0" * 36), "must be at most 32 bytes"),
    "counts ragged": (_field("counts", b"\0" * 31), "has 31 bytes, no multiple of 4"),
    "more answers than questions": (
        _field("counts", np.array([1, 2, 3, 0, 0, 1, 2, 0], "<u4").tobytes()),
        "more answered, skipped and expired than asked",
    ),
    "absurd count": (
        _field("counts", np.array([1, 2**31, 3, 0, 0, 1, 2, 0], "<u4").tobytes()),
        "report asked is 2147483648",
    ),
    "grid of another shape": (
        _record(GRID, ArrayRecord({"counts": Array(np.zeros((1, 4), np.uint8))})),
        "fedask.grid has shape (1, 4), must be (3, 4)",
    ),
    "grid that is signed": (
        _record(GRID, ArrayRecord({"counts": Array(-np.ones((3, 4), np.int8))})),
        "fedask.grid is 'int8'",
    ),
}

GOOD_REPORTS_THAT_CANNOT_BE: dict[str, tuple[dict[str, Any], str]] = {
    "grid over capacity": ({"grid": grid_of((0, 3, 6))}, "more scores than its capac"),
    "asked shrinks": ({"asked": 4, "answered": 2}, "reports less than before"),
    "answered shrinks": ({"answered": 2}, "(5, 3, 1, 1) to (5, 2, 1, 1)"),
    "skipped shrinks": ({"skipped": 0}, "(5, 3, 1, 1) to (5, 3, 0, 1)"),
    "expired shrinks": ({"expired": 0}, "(5, 3, 1, 1) to (5, 3, 1, 0)"),
}

INNER: list[Callable[[], Strategy]] = [
    lambda: FedAvg(fraction_evaluate=0.0, min_train_nodes=4),
    lambda: FedMedian(fraction_evaluate=0.0, min_train_nodes=4),
]
each_inner = pytest.mark.parametrize("inner", INNER, ids=["averaged", "listed"])


def _without(inner: Callable[[], Strategy], rounds: int = 1) -> Bench:
    """Play the same rounds, the offender missing the last one."""
    bench = Bench(inner())
    for _ in range(rounds - 1):
        bench.round(honest)
    bench.round(
        lambda node, sent: (
            silent(node, sent) if node == OFFENDER else honest(node, sent)
        )
    )
    return bench


@each_inner
@pytest.mark.parametrize(("edit", "why"), BAD_UPDATES.values(), ids=BAD_UPDATES.keys())
def test_bad_update_is_dropped_but_its_labels_are_booked(
    inner: Callable[[], Strategy], edit: Edit, why: str
) -> None:
    bench = Bench(inner())

    def answer(node: int, sent: Message) -> Message:
        bad = edit if node == OFFENDER else None
        return reply(sent, update=model(0.125 * (node - FIRST_NODE + 1)), edit=bad)

    arrays = bench.round(answer)
    assert [entry[:2] for entry in bench.refused] == [(1, name_of(OFFENDER))]
    assert why in bench.refused[0][2]
    assert same(values(arrays), values(_without(inner).arrays))
    assert bench.strategy.progress.classes[name_of(OFFENDER)] == (1, 2, 0)
    assert bench.strategy.progress.ledger.totals[name_of(OFFENDER)] == (3, 3, 0, 0)


@each_inner
@pytest.mark.parametrize(("edit", "why"), BAD_REPORTS.values(), ids=BAD_REPORTS.keys())
def test_bad_report_is_dropped_and_nothing_of_it_is_booked(
    inner: Callable[[], Strategy], edit: Edit, why: str
) -> None:
    bench = Bench(inner())

    def answer(node: int, sent: Message) -> Message:
        bad = edit if node == OFFENDER else None
        return reply(sent, update=model(0.125 * (node - FIRST_NODE + 1)), edit=bad)

    arrays = bench.round(answer)
    assert [entry[:2] for entry in bench.refused] == [(1, f"node {OFFENDER}")]
    assert why in bench.refused[0][2]
    assert same(values(arrays), values(_without(inner).arrays))
    progress = bench.strategy.progress
    assert name_of(OFFENDER) not in progress.classes | progress.ledger.totals
    assert OFFENDER not in progress.applied


@each_inner
@pytest.mark.parametrize(
    ("fields", "why"),
    GOOD_REPORTS_THAT_CANNOT_BE.values(),
    ids=GOOD_REPORTS_THAT_CANNOT_BE.keys(),
)
def test_report_that_cannot_be_is_dropped_and_the_last_one_stays(
    inner: Callable[[], Strategy], fields: dict[str, Any], why: str
) -> None:
    before = {"asked": 5, "skipped": 1, "expired": 1}
    bench, others = Bench(inner()), Bench(inner())
    for each in (bench, others):
        each.round(
            lambda node, sent: reply(sent, report(node, **before), update=model(1.0))
        )

    def answer(node: int, sent: Message) -> Message:
        now = before | ({"grid": grid_of((0, 3, 1))} if node != OFFENDER else fields)
        return reply(sent, report(node, **now), update=model(0.5 * node))

    bench.round(answer)
    others.round(lambda n, sent: silent(n, sent) if n == OFFENDER else answer(n, sent))
    assert [entry[:2] for entry in bench.refused] == [(2, name_of(OFFENDER))]
    assert why in bench.refused[0][2]
    assert same(values(bench.arrays), values(others.arrays))
    assert bench.strategy.progress.ledger.totals[name_of(OFFENDER)] == (5, 3, 1, 1)
    assert bench.strategy.progress.cut == others.strategy.progress.cut


@each_inner
def test_second_reply_of_one_device_is_dropped(inner: Callable[[], Strategy]) -> None:
    bench = Bench(inner())
    twin = name_of(FIRST_NODE)

    def answer(node: int, sent: Message) -> Message:
        said = report(node, device=twin) if node == OFFENDER else report(node)
        return reply(sent, said, update=model(0.125 * (node - FIRST_NODE + 1)))

    arrays = bench.round(answer)
    assert bench.refused == [(1, twin, f"device {twin} replied twice")]
    assert same(values(arrays), values(_without(inner).arrays))


@each_inner
def test_error_reply_is_named_by_its_node_and_its_reason(
    inner: Callable[[], Strategy],
) -> None:
    bench = Bench(inner())

    def answer(node: int, sent: Message) -> Message:
        if node != OFFENDER:
            return honest(node, sent)
        return Message(Error(0, "MemoryError: " + "x" * 500), reply_to=sent)

    arrays = bench.round(answer)
    (entry,) = bench.refused
    assert entry[:2] == (1, f"node {OFFENDER}")
    assert entry[2] == ("MemoryError: " + "x" * 500)[:200]
    assert same(values(arrays), values(_without(inner).arrays))


@each_inner
def test_without_any_reply_the_global_model_stays(
    inner: Callable[[], Strategy],
) -> None:
    bench = Bench(inner())
    sent = bench.send()
    assert bench.take([]) is None
    assert bench.take([silent(node, message) for node, message in sent.items()]) is None
    assert bench.strategy.progress.rounds == 2
    assert same(values(bench.arrays), model())


@each_inner
def test_without_a_label_anywhere_the_global_model_stays(
    inner: Callable[[], Strategy],
) -> None:
    bench = Bench(inner())
    nothing = {"answered": 0, "class_counts": (0, 0, 0)}
    assert bench.round(lambda n, sent: reply(sent, report(n, **nothing))) is None
    assert bench.refused == []
    assert bench.strategy.progress.ledger.spent == 4 * 3  # asked, not yet answered


@each_inner
def test_device_that_diverged_is_named_and_its_labels_stay(
    inner: Callable[[], Strategy],
) -> None:
    bench = Bench(inner())

    def answer(node: int, sent: Message) -> Message:
        if node != OFFENDER:
            return honest(node, sent)
        return reply(sent, report(node, refused="diverged"))

    arrays = bench.round(answer)
    (entry,) = bench.refused
    assert entry[1] == name_of(OFFENDER)
    assert "training diverged" in entry[2]
    assert bench.strategy.progress.labelled == 4 * 3
    assert same(values(arrays), values(_without(inner).arrays))
