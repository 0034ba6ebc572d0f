"""Flower messages made outside Flower, and one device that answers them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity
from tests.support.client.world import SCENARIO, TASK, World, model

from fedask.client.app import client_app
from fedask.client.round.device import Device
from fedask.common.config import Scenario
from fedask.common.cut import Cut
from fedask.common.records import Ask
from fedask.common.task import Task
from fedask.common.weights import to_record

NODE = 2


class Site:
    """A ClientApp over one device that stays open.

    Parameters
    ----------
    values
        Dotted keys over the scenario, as Flower's run configuration.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.world = World(values)
        self.opened: list[Context] = []
        self.config = SCENARIO.with_values(values or {}).to_flat()
        self.app: ClientApp = client_app(TASK, open_device=self.open)

    @contextmanager
    def open(
        self, task: Task, scenario: Scenario, context: Context
    ) -> Iterator[Device]:
        assert (task, scenario) == (TASK, self.world.scenario)
        self.opened.append(context)
        yield self.world.device

    def context(self, node: Mapping[str, Any] | None = None) -> Context:
        return Context(1, NODE, dict(node or {}), RecordDict(), dict(self.config))

    def send(self, content: RecordDict, kind: str = "train") -> Message:
        return self.app(message(content, kind), self.context())


def pose_as_server() -> None:
    """Set what a message needs to be made outside a Flower process."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1


def message(content: RecordDict, kind: str = "train") -> Message:
    made = Message(content, NODE, kind)
    made.metadata.__dict__["_message_id"] = "1"  # as the SuperLink would
    return made


def arrays() -> ArrayRecord:
    return to_record(model())


def ask_record(
    *, cycle: int = 1, step: int = 0, score: str = "", cut: Cut | None = None
) -> ConfigRecord:
    return Ask(cycle=cycle, step=step, score=score, cut=cut).records["fedask.ask"]


def train_content(ask: ConfigRecord, **more: Any) -> RecordDict:  # noqa: ANN401
    content = RecordDict({"arrays": arrays(), "config": ConfigRecord()})
    content["fedask.ask"] = ask
    for name, record in more.items():
        content[name] = record
    return content
