"""Ways to spoil a reply, and the fleet without the one that did. Used by tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.app import RecordDict as Content
from flwr.serverapp.strategy import FedAvg, FedMedian, Strategy
from tests.support.server.scripted import (
    CLASSES,
    FIRST_NODE,
    Bench,
    Edit,
    honest,
    model,
    silent,
)

from fedask.common.records import REPORT

OFFENDER = FIRST_NODE + 1  # neither the first nor the last to reply


def set_array(name: str, value: object) -> Edit:
    def edit(content: Content) -> None:
        record = ArrayRecord(dict(content.array_records["arrays"]))
        if value is None:
            del record[name]
        else:
            record[name] = value if isinstance(value, Array) else Array(np.array(value))
        content["arrays"] = record

    return edit


def set_metric(name: str, value: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        metrics = dict(content.metric_records["metrics"])
        metrics.pop(name, None)
        content["metrics"] = MetricRecord(
            metrics if value is None else {**metrics, name: value}
        )

    return edit


def set_field(name: str, value: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        content[REPORT] = ConfigRecord({**content.config_records[REPORT], name: value})

    return edit


def set_record(name: str, record: Any) -> Edit:  # noqa: ANN401
    def edit(content: Content) -> None:
        if record is None:
            del content[name]
        else:
            content[name] = record

    return edit


def holed(value: float) -> Array:
    holed = model()["w"]
    holed[1, 2] = value
    return Array(holed)


def raw_array(data: bytes) -> Array:
    return Array("float32", (CLASSES,), "numpy.ndarray", data)


INNER: list[Callable[[], Strategy]] = [
    lambda: FedAvg(fraction_evaluate=0.0, min_train_nodes=4),
    lambda: FedMedian(fraction_evaluate=0.0, min_train_nodes=4),
]
each_inner = pytest.mark.parametrize("inner", INNER, ids=["averaged", "listed"])


def without_offender(inner: Callable[[], Strategy], rounds: int = 1) -> Bench:
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
