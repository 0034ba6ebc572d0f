"""The nodes in the order in which they registered. Called by ``AskStrategy``.

Flower draws node ids at random and lists them in no order, so a strategy that samples
nodes would pick other devices in every run, whatever the seed. The order in which nodes
registered is all that a server knows of them before their first reply; a simulation
registers its devices in their order.
"""

from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from typing_extensions import override


class OrderedGrid(Grid):
    """A Grid that lists its nodes in order and leaves everything else to another Grid.

    Parameters
    ----------
    grid
        Flower's. One that does not know when nodes registered has them by their ids.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    @override
    def get_node_ids(self) -> Iterable[int]:
        return [node.node_id for node in self.get_nodes()]

    @override
    def get_nodes(self) -> Iterable[NodeInfo]:
        nodes = self._grid.get_nodes()
        return sorted(nodes, key=lambda node: (node.registered_at, node.node_id))

    @override
    def set_run(self, run: Run) -> None:
        self._grid.set_run(run)

    @property
    @override
    def run(self) -> Run:
        return self._grid.run

    @override
    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return self._grid.create_message(
            content, message_type, dst_node_id, group_id, ttl
        )

    @override
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._grid.push_messages(messages)

    @override
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return self._grid.pull_messages(message_ids)

    @override
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        return self._grid.send_and_receive(messages, timeout=timeout)
