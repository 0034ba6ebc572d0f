"""Gathering checked replies for the inner strategy. Called by ``AskStrategy``.

Flower's averaging strategies need only the weighted mean of the updates, so for them it
is summed as the replies come in: one model in memory, whatever the fleet, and the same
bits in whatever order they come. Other strategies (median, Krum, ...) get every reply.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, cast

import flwr.serverapp.strategy as flower
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Strategy
from typing_extensions import override

from fedask.common.config import StrategyConfig
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.records import GRID, REPORT, Report
from fedask.common.registry import load_attr, nearest
from fedask.common.weights import ArraySpec, WeightedSum, to_record

# Exactly these, not their subclasses: each averages and then steps on the mean.
AVERAGING: frozenset[type[Strategy]] = frozenset(
    {
        flower.FedAvg,
        flower.FedAvgM,
        flower.FedProx,
        flower.FedAdagrad,
        flower.FedAdam,
        flower.FedYogi,
    }
)


def make_inner(config: StrategyConfig, devices: int) -> Strategy:
    """Make the configured inner strategy.

    Parameters
    ----------
    config
        Name and options.
    devices
        Nodes to wait for before the first round; 0 leaves Flower's own default.

    Raises
    ------
    ConfigError
        If the name or an option is unknown, or the strategy refuses a value.
    """
    known = {name: getattr(flower, name) for name in flower.__all__}
    if ":" in config.name:
        kind = load_attr(config.name)
    elif config.name in known and config.name not in {"Strategy", "Result"}:
        kind = known[config.name]
    else:
        msg = f"unknown strategy {config.name!r}" + nearest(config.name, known)
        raise ConfigError(msg)
    options: dict[str, Any] = {"fraction_evaluate": 0.0}
    if devices:
        options |= {"min_train_nodes": devices, "min_available_nodes": devices}
    valid = inspect.signature(kind).parameters
    options = {key: value for key, value in options.items() if key in valid}
    for key in config.options:
        if key not in valid:
            msg = f"{config.name} has no option {key!r}" + nearest(key, valid)
            raise ConfigError(msg)
    try:
        return cast("Strategy", kind(**{**options, **config.options}))
    except (TypeError, ValueError) as err:
        msg = f"strategy {config.name}: {err}"
        raise ConfigError(msg) from err


class Gathered(Protocol):
    """Takes the replies of one round, one by one."""

    def add(self, reply: Message, report: Report) -> None:
        """Take a reply.

        Raises
        ------
        ProtocolError
            If its model or its metrics do not fit; nothing is taken then.
        """
        ...

    def aggregate(
        self, inner: Strategy, server_round: int
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the inner strategy aggregate; (None, None) if no device has a label."""
        ...


def gather_for(inner: Strategy, spec: ArraySpec) -> Gathered:
    """Choose how the inner strategy gets its replies."""
    return Averaged(spec) if type(inner) in AVERAGING else Listed(spec)


class Averaged(Gathered):
    """Sums as it goes and hands the inner strategy one reply: the mean."""

    def __init__(self, spec: ArraySpec) -> None:
        self._spec = spec
        self._sum = WeightedSum(spec)
        self._metrics: list[tuple[str, int, Mapping[str, float]]] = []
        self._first: Message | None = None

    @override
    def add(self, reply: Message, report: Report) -> None:
        metrics = _read_metrics(reply.content, report)
        if report.labelled == 0:
            return
        arrays = self._spec.decode(_model(reply.content))
        self._sum.add(arrays, report.labelled)
        self._metrics.append((report.device, report.labelled, metrics))
        self._first = self._first or reply

    @override
    def aggregate(
        self, inner: Strategy, server_round: int
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if self._first is None:
            return None, None
        mean = _message(self._first, self._sum.mean(), self._mean_metrics())
        return _result(inner, server_round, [mean], self._spec)

    def _mean_metrics(self) -> dict[str, float]:
        """Average in the order of device ids: floats do not add associatively."""
        rows = sorted(self._metrics, key=lambda row: row[0])
        total = self._sum.weight
        losses = [weight * metrics["train-loss"] for _, weight, metrics in rows]
        return {"num-examples": total, "train-loss": sum(losses) / total}


class Listed(Gathered):
    """Keeps every reply and hands them over in the order of device ids."""

    def __init__(self, spec: ArraySpec) -> None:
        self._spec = spec
        self._replies: list[tuple[str, Message]] = []

    @override
    def add(self, reply: Message, report: Report) -> None:
        metrics = _read_metrics(reply.content, report)
        if report.labelled == 0:
            return
        arrays = self._spec.read(_model(reply.content))
        clean = _message(reply, arrays, {"num-examples": report.labelled, **metrics})
        self._replies.append((report.device, clean))

    @override
    def aggregate(
        self, inner: Strategy, server_round: int
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if not self._replies:
            return None, None
        replies = [message for _, message in sorted(self._replies, key=lambda r: r[0])]
        return _result(inner, server_round, replies, self._spec)


def _model(content: RecordDict) -> ArrayRecord:
    records = [
        record
        for name, record in content.items()
        if isinstance(record, ArrayRecord) and name != GRID
    ]
    if len(records) != 1:
        msg = f"the reply has {len(records)} models, must have one"
        raise ProtocolError(msg)
    return records[0]


def _read_metrics(content: RecordDict, report: Report) -> dict[str, float]:
    """Check the metrics; the weight must be the number of labels reported."""
    records = [r for r in content.values() if isinstance(r, MetricRecord)]
    extra = [
        name
        for name, record in content.items()
        if isinstance(record, ConfigRecord) and name != REPORT
    ]
    if len(records) != 1 or extra:
        msg = f"the reply has {len(records)} metric records and {extra[:3]!r:.200}"
        raise ProtocolError(msg)
    metrics = dict(records[0].items())
    weight = metrics.pop("num-examples", None)
    if weight != report.labelled:
        msg = f"num-examples is {weight!r:.40}, but {report.labelled} are labelled"
        raise ProtocolError(msg)
    loss = metrics.pop("train-loss", None)
    if metrics or not isinstance(loss, (int, float)) or not np.isfinite(loss):
        msg = f"metrics must be num-examples and a finite train-loss, not {loss!r:.40}"
        raise ProtocolError(msg)
    return {"train-loss": float(loss)}


def _message(
    reply: Message, arrays: Mapping[str, Any], metrics: Mapping[str, float]
) -> Message:
    """Return a reply with these contents alone, from the same node."""
    content = RecordDict()
    content["arrays"] = to_record(arrays)
    content["metrics"] = MetricRecord(dict(metrics))
    clean: Message = Message(content=content, metadata=reply.metadata)  # type: ignore[call-overload]
    return clean


def _result(
    inner: Strategy, server_round: int, replies: list[Message], spec: ArraySpec
) -> tuple[ArrayRecord | None, MetricRecord | None]:
    """Aggregate, and bring the result back to the model's own dtypes.

    Raises
    ------
    ProtocolError
        If the strategy's result does not fit the model or is not finite.
    """
    arrays, metrics = inner.aggregate_train(server_round, replies)
    if arrays is None:
        return None, metrics
    cast_back = {
        name: arrays[name].numpy().astype(dtype)
        for name, (_, dtype) in spec.shapes.items()
        if name in arrays
    }
    spec.read(record := to_record(cast_back))
    return record, metrics
