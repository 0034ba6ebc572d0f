"""The inline runtime: a Flower Grid that calls the ClientApp in this process.

No process, no serialisation, no waiting: a message is handed over as the object it is.
Replies are yielded one by one, so that a strategy which sums as it goes never holds
more than one update.
"""

import itertools
import os
from collections.abc import Iterable, Iterator

from flwr.app import DEFAULT_TTL, Context, Error, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from typing_extensions import override

from fedask.client.app import DeviceApp
from fedask.common.config import Scenario
from fedask.simulations.fleet.devices import asked_in, device_name, open_fleet
from fedask.simulations.runtimes.runtime import Apps, Asked, run_config

_SERVER_NODE = 1  # Flower's own number for the SuperLink
_FIRST_NODE = 2
_APP_FAILED = 0

# Unique among the runs of this process; the high bits keep forks apart.
_run_ids = itertools.count(1 + (os.getpid() << 20))


class InlineGrid(Grid):
    """A Flower Grid that calls one ClientApp for every device.

    Parameters
    ----------
    contexts
        One per node, in the order of their node ids, which start at 2.
    run
        What Flower knows about the run.
    """

    def __init__(self, client: ClientApp, contexts: list[Context], run: Run) -> None:
        self._client = client
        self._contexts = {context.node_id: context for context in contexts}
        self._run = run
        self._ids = itertools.count(1)
        self._replies: dict[str, Message] = {}

    @override
    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    @override
    def run(self) -> Run:
        return self._run

    @override
    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(
            content,
            dst_node_id,
            message_type,
            group_id=group_id,
            ttl=DEFAULT_TTL if ttl is None else ttl,
        )

    @override
    def get_node_ids(self) -> Iterable[int]:
        return list(self._contexts)

    @override
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            reply = self._deliver(message)
            ids.append(message.metadata.message_id)
            self._replies[ids[-1]] = reply
        return ids

    @override
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(i) for i in message_ids if i in self._replies]

    @override
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        for together, group in itertools.groupby(messages, self._trains_together):
            if together and isinstance(self._client, DeviceApp):
                yield from self._client.train_together(map(self._address, group))
            else:
                yield from map(self._deliver, group)

    def _trains_together(self, message: Message) -> bool:
        train = message.metadata.message_type == MessageType.TRAIN
        return train and isinstance(self._client, DeviceApp)

    def _address(self, message: Message) -> tuple[Message, Context]:
        """Give a message an id, as the SuperLink would; find whom it is for."""
        # Metadata has no public setter for it.
        message.metadata.__dict__["_message_id"] = str(next(self._ids))
        return message, self._contexts[message.metadata.dst_node_id]

    def _deliver(self, message: Message) -> Message:
        message, context = self._address(message)
        try:
            return self._client(message, context)
        except Exception as err:  # noqa: BLE001  (as Flower: the app's fault, not ours)
            reason = f"{type(err).__name__}: {err}"
            return Message(Error(code=_APP_FAILED, reason=reason), reply_to=message)


def run(apps: Apps, scenario: Scenario) -> Asked:
    """Run both apps in this process. See ``runtime.Runtime``."""
    run_id = next(_run_ids)
    # A message made outside a Flower process needs these; nothing public sets them.
    TaskIdentity.run_id = run_id
    TaskIdentity.task_id = 1
    TaskIdentity.node_id = _SERVER_NODE
    config = run_config(scenario)
    devices = scenario.fleet.devices
    contexts = [
        Context(
            run_id=run_id,
            node_id=_FIRST_NODE + index,
            node_config={"partition-id": index, "num-partitions": devices},
            state=RecordDict(),
            run_config=config,
        )
        for index in range(devices)
    ]
    grid = InlineGrid(apps.client, contexts, Run.create_empty(run_id))
    server = Context(run_id, _SERVER_NODE, {}, RecordDict(), config)
    with open_fleet(run_id) as fleet:
        apps.server(grid, server)
        return {device_name(i): asked_in(fleet[i].store) for i in sorted(fleet)}
