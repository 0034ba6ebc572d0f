"""A report that does not fit is dropped with its update, and nothing is booked."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import Strategy
from tests.support.server.edits import (
    OFFENDER,
    each_inner,
    set_field,
    set_record,
    without_offender,
)
from tests.support.server.scripted import (
    FIRST_NODE,
    Bench,
    Edit,
    grid_of,
    model,
    name_of,
    reply,
    report,
    same,
    silent,
    values,
)

from fedask.common.grid_record import GRID
from fedask.common.records import REPORT

BAD_REPORTS: dict[str, tuple[Edit, str]] = {
    "no report": (set_record(REPORT, None), "the message has no fedask.report record"),
    "report of another kind": (
        set_record(REPORT, MetricRecord({"v": 1})),
        "the message has no fedask.report record",
    ),
    "newer schema": (set_field("v", 2), "fedask.report has schema version 2"),
    "unknown field": (set_field("image", b"\0"), "unknown fields ['image']"),
    "hostile device id": (
        set_field("device", "../../etc"),
        "device id '../../etc' must",
    ),
    "numeric device id": (set_field("device", 7), "device must be str, not 7"),
    "unknown reason": (set_field("refused", "because"), "unknown reason 'because'"),
    "counts cut short": (
        set_field("counts", b"\0" * 28),
        "report has 2 classes, not 3",
    ),
    "counts endless": (set_field("counts", b"\0" * 36), "must be at most 32 bytes"),
    "counts ragged": (
        set_field("counts", b"\0" * 31),
        "has 31 bytes, no multiple of 4",
    ),
    "more answers than questions": (
        set_field("counts", np.array([1, 2, 3, 0, 0, 1, 2, 0], "<u4").tobytes()),
        "more answered, skipped and expired than asked",
    ),
    "absurd count": (
        set_field("counts", np.array([1, 2**31, 3, 0, 0, 1, 2, 0], "<u4").tobytes()),
        "report asked is 2147483648",
    ),
    "grid of another shape": (
        set_record(GRID, ArrayRecord({"counts": Array(np.zeros((1, 4), np.uint8))})),
        "fedask.grid has shape (1, 4), must be (3, 4)",
    ),
    "grid that is signed": (
        set_record(GRID, ArrayRecord({"counts": Array(-np.ones((3, 4), np.int8))})),
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
    assert same(values(arrays), values(without_offender(inner).arrays))
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
    assert same(values(arrays), values(without_offender(inner).arrays))
