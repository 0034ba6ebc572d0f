"""One bad reply among good ones: it is dropped and named, the rest is aggregated."""

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord
from flwr.serverapp.strategy import Strategy
from tests.support.server.edits import (
    OFFENDER,
    each_inner,
    holed,
    raw_array,
    set_array,
    set_metric,
    set_record,
    without_offender,
)
from tests.support.server.scripted import (
    CLASSES,
    FIRST_NODE,
    Bench,
    Edit,
    honest,
    model,
    name_of,
    reply,
    report,
    same,
    silent,
    values,
)

BIG = np.full((2, CLASSES), 65_537.0, dtype=np.float32)
W, B = (2, CLASSES), (CLASSES,)
BAD_UPDATES: dict[str, tuple[Edit, str]] = {
    "nan": (set_array("w", holed(np.nan)), "'w' holds NaN, infinity or values beyond"),
    "infinity": (set_array("w", holed(-np.inf)), "'w' holds NaN, infinity or values"),
    "absurd value": (set_array("w", BIG), "values beyond 65536"),
    "wrong shape": (
        set_array("w", np.zeros((CLASSES, 2), np.float32)),
        "'w' is declared ((3, 2), 'float32'), must be ((2, 3), 'float32')",
    ),
    "wrong dtype": (set_array("w", np.zeros(W)), "'w' is declared ((2, 3), 'float64')"),
    "shape that lies": (
        set_array("b", raw_array(Array(np.zeros((1, CLASSES), np.float32)).data)),
        "'b' decodes to (1, 3)",
    ),
    "dtype that lies": (
        set_array("b", raw_array(Array(np.zeros(B, np.int32)).data)),
        "'b' decodes to (3,) int32",
    ),
    "no npy": (set_array("b", raw_array(b"junk")), "array 'b'"),
    "npy header alone": (
        set_array("b", raw_array(b"\x93NUMPY\x01\x00\xff\xff{")),
        "'b'",
    ),
    "zip for npy": (set_array("b", raw_array(b"PK\x03\x04" + b"\0" * 60)), "array 'b'"),
    "too many bytes": (set_array("b", raw_array(b"\0" * 9999)), "'b' has 9999 bytes"),
    "missing array": (set_array("b", None), "arrays do not match the model: ['b']"),
    "extra array": (set_array("more", np.zeros(1)), "do not match the model: ['more']"),
    "second model": (set_record("again", ArrayRecord()), "the reply has 2 models"),
    "no model": (set_record("arrays", None), "num-examples without a model"),
    "second metrics": (
        set_record("again", MetricRecord({"num-examples": 3})),
        "the reply has 2 metric records",
    ),
    "no metrics": (set_record("metrics", None), "the reply has 0 metric records"),
    "foreign config": (
        set_record("raw-data", ConfigRecord({"x": 1})),
        "1 metric records and ['raw-data']",
    ),
    "heavier than its labels": (
        set_metric("num-examples", 4),
        "num-examples is 4, but 3 are labelled",
    ),
    "negative weight": (set_metric("num-examples", -3), "num-examples is -3"),
    "weight nan": (set_metric("num-examples", np.nan), "num-examples is nan"),
    "weight list": (set_metric("num-examples", [3]), "num-examples is [3]"),
    "no weight": (set_metric("num-examples", None), "num-examples is None"),
    "model without weight": (
        set_metric("num-examples", 0),
        "or a model without them",
    ),
    "loss infinite": (set_metric("train-loss", np.inf), "a finite train-loss, not inf"),
    "loss nan": (set_metric("train-loss", np.nan), "a finite train-loss, not nan"),
    "loss list": (set_metric("train-loss", [0.5]), "a finite train-loss, not [0.5]"),
    "no loss": (set_metric("train-loss", None), "a finite train-loss, not None"),
    "extra metric": (set_metric("accuracy", 1.0), "metrics must be num-examples and"),
}


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
    assert same(values(arrays), values(without_offender(inner).arrays))
    assert bench.strategy.progress.classes[name_of(OFFENDER)] == (1, 2, 0)
    assert bench.strategy.progress.ledger.totals[name_of(OFFENDER)] == (3, 3, 0, 0)


@each_inner
@pytest.mark.parametrize(
    ("weight", "taken"), [(3, True), (5, True), (6, True), (2, False), (7, False)]
)
def test_update_with_weak_labels_counts_as_no_more_than_these_allow(
    inner: Callable[[], Strategy], weight: int, *, taken: bool
) -> None:
    bench = Bench(inner(), weak__functions="a:b", weak__samples=25)  # 25 count as 3

    def answer(node: int, sent: Message) -> Message:
        edit = set_metric("num-examples", weight) if node == OFFENDER else None
        return reply(sent, update=model(0.125 * (node - FIRST_NODE + 1)), edit=edit)

    bench.round(answer)
    why = f"num-examples is {weight}, but 3 are labelled: it may be 3 to 6"
    refused = [] if taken else [(1, name_of(OFFENDER), why)]
    assert bench.refused == refused


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
    assert same(values(arrays), values(without_offender(inner).arrays))


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
    assert same(values(arrays), values(without_offender(inner).arrays))
