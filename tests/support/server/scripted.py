"""Scripted devices: real Flower messages, hand-made replies. Used by server tests.

Nothing here trains or touches data: a scripted device obeys cuts, and says what the
test tells it to say.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray
from typing_extensions import override

from fedask.common.config import Scenario
from fedask.common.grid import IntArray
from fedask.common.ids import DeviceId
from fedask.common.records import ASK, Ask, Report
from fedask.common.weights import to_record
from fedask.server.strategy import AskStrategy

CLASSES = 3
BINS = 4
FIRST_NODE = 11
Edit = Callable[[RecordDict], None]


def scenario(**settings: Any) -> Scenario:  # noqa: ANN401
    """Two cycles of two rounds; keys with ``__`` for the dot."""
    values = {
        "ask.bins": BINS,
        "ask.quota": 6,
        "ask.cycles": 2,
        "ask.initial": 2,
        "ask.capacity": 5,
        "train.rounds": 2,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return Scenario.from_flat(values)


def model(value: float = 0.0) -> dict[str, NDArray[Any]]:
    """Return a model of two arrays, filled with one value."""
    return {
        "w": np.full((2, CLASSES), value, dtype=np.float32),
        "b": np.full(CLASSES, value, dtype=np.float32),
    }


class Nodes(Grid):
    """A Grid that knows its nodes and nothing else."""

    def __init__(self, count: int) -> None:
        self._ids = [FIRST_NODE + index for index in range(count)]

    @override
    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    @override
    def run(self) -> Run:
        raise NotImplementedError

    @override
    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        raise NotImplementedError

    @override
    def get_node_ids(self) -> Iterable[int]:
        return list(self._ids)

    @override
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    @override
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    @override
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        raise NotImplementedError


class Bench:
    """An ``AskStrategy`` and its nodes, driven round by round as Flower would.

    Parameters
    ----------
    inner
        By default FedAvg over all nodes.
    nodes
        How many; their ids start at ``FIRST_NODE``.
    settings
        See ``scenario``.
    """

    def __init__(
        self,
        inner: Strategy | None = None,
        nodes: int = 4,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        # What ``runtimes.inline`` sets, so that messages can be made in this process.
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
        self.scenario = scenario(**settings)
        self.inner = inner or FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes)
        self.strategy = AskStrategy(self.inner, self.scenario, CLASSES)
        self.grid = Nodes(nodes)
        self.arrays = to_record(model())

    @property
    def refused(self) -> list[tuple[int, str, str]]:
        """What the strategy has refused so far."""
        return self.strategy.progress.refused

    def send(self) -> dict[int, Message]:
        """Return the train messages of the next round, by node."""
        sent = self.strategy.configure_train(1, self.arrays, ConfigRecord(), self.grid)
        return {message.metadata.dst_node_id: message for message in sent}

    def take(self, replies: Sequence[Message]) -> ArrayRecord | None:
        """End the round with these replies, in this order; the model moves on."""
        arrays, _ = self.strategy.aggregate_train(1, iter(replies))
        if arrays is not None:
            self.arrays = arrays
        return arrays

    def round(self, answer: Callable[[int, Message], Message]) -> ArrayRecord | None:
        """Play one round in which every node answers."""
        sent = self.send()
        return self.take([answer(node, message) for node, message in sent.items()])


def values(record: ArrayRecord | None) -> dict[str, NDArray[Any]]:
    """Decode a model."""
    assert record is not None
    return {name: array.numpy() for name, array in record.items()}


def same(left: Mapping[str, NDArray[Any]], right: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether two models are equal, bit by bit."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].tobytes() == right[name].tobytes()
        for name in left
    )


def ask_of(message: Message) -> Ask:
    """Read the ask of a train message."""
    assert ASK in message.content
    return Ask.from_content(message.content)


def name_of(node: int) -> DeviceId:
    """Return the pseudonym of the device on a node."""
    return DeviceId(f"device-{node}")


def report(node: int, **fields: Any) -> Report:  # noqa: ANN401
    """Return a report of a device with three labels, but for the given fields."""
    usual: dict[str, Any] = {
        "device": name_of(node),
        "cut_cycle": 1,
        "refused": "",
        "asked": 3,
        "answered": 3,
        "skipped": 0,
        "expired": 0,
        "class_counts": (1, 2, 0),
    }
    return Report(**{**usual, **fields})


def grid_of(*cells: tuple[int, int, int]) -> IntArray:
    """Return a score grid with (group, bin, count) filled in."""
    grid = np.zeros((CLASSES, BINS), dtype=np.int64)
    for group, place, count in cells:
        grid[group, place] = count
    return grid


def content(
    said: Report, update: Mapping[str, NDArray[Any]] | None, loss: float = 0.5
) -> RecordDict:
    """Return the content of an honest reply; without an update, of no weight."""
    records = RecordDict(dict(said.records))
    if update is not None:
        records["arrays"] = to_record({k: v.copy() for k, v in update.items()})
    weight = said.labelled if update is not None else 0
    records["metrics"] = MetricRecord({"num-examples": weight, "train-loss": loss})
    return records


def reply(
    message: Message,
    said: Report | None = None,
    update: Mapping[str, NDArray[Any]] | None = None,
    edit: Edit | None = None,
) -> Message:
    """Return a reply to a train message: honest, until ``edit`` changes its content."""
    node = message.metadata.dst_node_id
    records = content(said or report(node), update)
    if edit is not None:
        edit(records)
    return Message(records, reply_to=message)


def honest(node: int, message: Message) -> Message:
    """Answer as an honest device would; every node has its own update."""
    return reply(message, update=model(0.125 * (node - FIRST_NODE + 1)))


def silent(node: int, message: Message) -> Message:
    """Answer that this device misses the round."""
    return Message(Error(0, f"UnavailableError: {name_of(node)}"), reply_to=message)
