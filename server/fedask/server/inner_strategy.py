"""Gathers checked replies for the inner strategy. Called by ``AskStrategy``.

Flower's averaging strategies need only the weighted mean of the updates, so for them it
is summed as the replies come in: one model in memory, whatever the fleet, and the same
bits in whatever order they come. Other strategies (median, Krum, ...) get every reply.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import flwr.serverapp.strategy as flower
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Strategy
from typing_extensions import override

from fedask.common.arrays import Arrays
from fedask.common.errors import ConfigError, FedaskError, ProtocolError
from fedask.common.grid_record import GRID
from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.part_record import LACKING
from fedask.common.records import REPORT, Report
from fedask.common.registry import load_attr, nearest
from fedask.common.sections import StrategyConfig
from fedask.common.user_code import told
from fedask.common.weights import MemoryArray, WeightedSum, to_record
from fedask.server.model_split import ModelSplit

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
    devices
        Nodes to wait for before the first round, and to train with if the options name
        no fraction of them; 0 leaves Flower's own defaults.

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
        raise ConfigError(
            f"unknown strategy {config.name!r}" + nearest(config.name, known)
        )
    # QFedAvg looks for the loss under a name of its own.
    options: dict[str, Any] = {"fraction_evaluate": 0.0, "train_loss_key": "train-loss"}
    valid = inspect.signature(kind).parameters
    for key in config.options:
        if key not in valid:
            raise ConfigError(
                f"{config.name} has no option {key!r}" + nearest(key, valid)
            )
    try:
        if devices:
            options |= _fleet_options(devices, config.options)
        options = {key: value for key, value in options.items() if key in valid}
        return cast("Strategy", kind(**{**options, **config.options}))
    except FedaskError:
        raise
    except (TypeError, ValueError) as err:
        raise ConfigError(f"strategy {config.name}: {err}") from err
    except Exception as err:  # whatever a user's own may raise
        raise ConfigError(f"strategy {config.name}: {told(err, kind)}") from err


def _fleet_options(devices: int, given: Mapping[str, Any]) -> dict[str, int]:
    """Wait for the whole fleet; train the fraction of it that is asked for.

    Flower counts the nodes before it waits for them: the least number is the right one.
    """
    sampled = max(1, int(devices * given.get("fraction_train", 1.0)))
    return {"min_train_nodes": sampled, "min_available_nodes": devices}


class Gathered(Protocol):
    """Takes the replies of one round, one by one."""

    def add(self, reply: Message, report: Report) -> bool:
        """Take a reply; returns whether it holds an update.

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


# Labels that a device reports -> what its update may count as.
Weigh = Callable[[int], range]


def _by_labels(labelled: int) -> range:
    """Return the only weight an update may have: the labels of its device."""
    return range(labelled, labelled + 1)


def sees_statistics(inner: Strategy) -> bool:
    """Tell whether the inner strategy gets statistics, as it gets parameters.

    Not those that step: an optimiser would make a variance negative, and the mean is
    all that the others want of them. A strategy that chooses (a median, Krum) or blurs
    (differential privacy) must get all that devices send, or what it promises would
    not hold for the rest.
    """
    stepping = (flower.FedAvgM, flower.FedAdagrad, flower.FedAdam, flower.FedYogi)
    return type(inner) not in AVERAGING and not isinstance(
        inner, (*stepping, flower.QFedAvg)
    )


def gather_for(
    inner: Strategy, manifest: Manifest, sent: Arrays, weigh: Weigh = _by_labels
) -> Gathered:
    """Choose how the inner strategy gets its replies.

    Parameters
    ----------
    sent
        The model of this round's messages.
    weigh
        The weights that a device may claim; any other is refused.
    """
    kind = Averaged if type(inner) in AVERAGING else Listed
    seen = [ArrayKind.PARAMETER]
    if sees_statistics(inner):
        seen.append(ArrayKind.STATISTIC)
    return kind(ModelSplit(manifest, sent, tuple(seen)), weigh)


class Averaged(Gathered):
    """Sums updates as they come and gives the inner strategy one reply: their mean."""

    def __init__(self, split: ModelSplit, weigh: Weigh = _by_labels) -> None:
        self._split = split
        self._weigh = weigh
        self._sum = WeightedSum(split.spec)
        self._losses: list[tuple[str, int, float]] = []
        self._first: Message | None = None

    @override
    def add(self, reply: Message, report: Report) -> bool:
        weight, loss = _read_metrics(reply.content, report, self._weigh)
        model = _model(reply.content)
        if not weight or model is None:
            _check_no_update(weight, model)
            return False
        arrays = self._split.read(model)
        seen = self._split.of_strategy(arrays)
        self._split.state.check(arrays, weight)
        self._sum.add(seen, weight)  # after its own checks
        self._split.state.add(arrays, weight)
        self._losses.append((report.device, weight, loss))
        self._first = self._first or reply
        return True

    @override
    def aggregate(
        self, inner: Strategy, server_round: int
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if self._first is None:
            return None, None
        mean = _message(self._first, self._sum.mean(), self._mean_metrics())
        return _result(inner, server_round, [mean], self._split)

    def _mean_metrics(self) -> dict[str, float]:
        """Average in the order of device ids: floats do not add associatively."""
        total = self._sum.weight
        losses = [weight * loss for _, weight, loss in sorted(self._losses)]
        return {"num-examples": total, "train-loss": sum(losses) / total}


class Listed(Gathered):
    """Keeps every reply, for the inner strategy, in the order of device ids."""

    def __init__(self, split: ModelSplit, weigh: Weigh = _by_labels) -> None:
        self._split = split
        self._weigh = weigh
        self._replies: list[tuple[str, Message]] = []

    @override
    def add(self, reply: Message, report: Report) -> bool:
        weight, loss = _read_metrics(reply.content, report, self._weigh)
        model = _model(reply.content)
        if not weight or model is None:
            _check_no_update(weight, model)
            return False
        metrics = {"num-examples": weight, "train-loss": loss}
        arrays = self._split.read(model)
        self._split.check(arrays, weight)
        self._split.state.add(arrays, weight)
        clean = _message(reply, self._split.of_strategy(arrays), metrics)
        _make_own(clean)
        self._replies.append((report.device, clean))
        return True

    @override
    def aggregate(
        self, inner: Strategy, server_round: int
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if not self._replies:
            return None, None
        replies = [message for _, message in sorted(self._replies, key=lambda r: r[0])]
        return _result(inner, server_round, replies, self._split)


def _model(content: RecordDict) -> ArrayRecord | None:
    records = [
        record
        for name, record in content.items()
        if isinstance(record, ArrayRecord) and name != GRID
    ]
    if len(records) > 1:
        raise ProtocolError(f"the reply has {len(records)} models, must have one")
    return records[0] if records else None


def _read_metrics(
    content: RecordDict, report: Report, weigh: Weigh
) -> tuple[int, float]:
    """Check the metrics; returns weight and loss.

    The weight must be one that the labels reported allow, or 0: there is no update.
    """
    records = [r for r in content.values() if isinstance(r, MetricRecord)]
    extra = [
        name
        for name, record in content.items()
        if isinstance(record, ConfigRecord) and name not in {REPORT, LACKING}
    ]
    if len(records) != 1 or extra:
        raise ProtocolError(
            f"the reply has {len(records)} metric records and {extra[:3]!r:.200}"
        )
    metrics = dict(records[0].items())
    weight = metrics.pop("num-examples", None)
    if isinstance(weight, float) and weight.is_integer():
        weight = int(weight)
    allowed = weigh(report.labelled)
    if type(weight) is not int or (weight != 0 and weight not in allowed):
        msg = f"num-examples is {weight!r:.40}, but {report.labelled} are labelled"
        if len(allowed) > 1:
            msg += f": it may be {allowed.start} to {allowed.stop - 1}"
        raise ProtocolError(msg)
    loss = metrics.pop("train-loss", None)
    if metrics or not isinstance(loss, (int, float)) or not np.isfinite(loss):
        raise ProtocolError(
            f"metrics must be num-examples and a finite train-loss, not {loss!r:.40}"
        )
    return weight, float(loss)


def _check_no_update(weight: int, model: ArrayRecord | None) -> None:
    """Refuse a weight without a model, and a model without a weight."""
    if (weight == 0) != (model is None):
        raise ProtocolError(
            "the reply has num-examples without a model, or a model without them"
        )


def _message(
    reply: Message, arrays: Mapping[str, Any], metrics: Mapping[str, float]
) -> Message:
    """Return a reply with these contents alone, from the same node."""
    content = RecordDict()
    content["arrays"] = to_record(arrays)
    content["metrics"] = MetricRecord(dict(metrics))
    clean: Message = Message(content=content, metadata=reply.metadata)  # type: ignore[call-overload]
    return clean


def _make_own(message: Message) -> None:
    """Give a message arrays that may be written to: QFedAvg computes in them."""
    record = ArrayRecord()
    for name, array in message.content.array_records["arrays"].items():
        record[name] = own = MemoryArray(array.numpy().copy())
        own.numpy().flags.writeable = True
    message.content["arrays"] = record


def _result(
    inner: Strategy, server_round: int, replies: list[Message], split: ModelSplit
) -> tuple[ArrayRecord | None, MetricRecord | None]:
    """Aggregate, and complete the result to a model.

    Raises
    ------
    ProtocolError
        As ``ModelSplit.whole``.
    """
    arrays, metrics = inner.aggregate_train(server_round, replies)
    return None if arrays is None else split.whole(inner, arrays), metrics
