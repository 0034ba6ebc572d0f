import random
from collections.abc import Iterable, Mapping
from unittest.mock import create_autospec

import pytest
from flwr.app import ConfigRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from tests.support.server.scripted import Bench, Nodes
from typing_extensions import override

from fedask.server.ordered_grid import OrderedGrid

NODES, ROUNDS = 7, 5


class Registered(Nodes):
    """A Grid that knows when its nodes registered, and lists them in any order."""

    def __init__(self, times: Mapping[int, str]) -> None:
        super().__init__(0)
        self._times = times

    @override
    def get_node_ids(self) -> Iterable[int]:
        return list(self._times)

    @override
    def get_nodes(self) -> Iterable[NodeInfo]:
        return [
            NodeInfo(node_id=node, registered_at=time)
            for node, time in self._times.items()
        ]


def test_nodes_come_in_the_order_of_their_registration() -> None:
    # ISO 8601 as Python writes it: no fraction where there is none.
    times = {
        30: "2026-01-02T03:04:05.000001+00:00",
        10: "2026-01-02T03:04:06+00:00",
        20: "2026-01-02T03:04:05+00:00",
        50: "2026-01-02T03:04:06+00:00",
    }
    assert OrderedGrid(Registered(times)).get_node_ids() == [20, 30, 10, 50]


def test_grid_that_knows_no_times_has_its_nodes_by_id() -> None:
    assert OrderedGrid(Registered(dict.fromkeys((7, 3, 5), ""))).get_node_ids() == [
        3,
        5,
        7,
    ]


@pytest.mark.parametrize("number", range(4))
def test_same_devices_are_sampled_whatever_ids_their_nodes_were_given(
    number: int,
) -> None:
    def sampled(nodes: list[int]) -> list[set[int]]:
        """Return which devices take part, by their place in the fleet."""
        listed = [*enumerate(nodes)]
        random.Random(sum(nodes)).shuffle(listed)
        bench, rounds = Bench(FedAvg(fraction_train=0.4, fraction_evaluate=0.4)), []
        bench.grid = Registered({node: f"2026-01-0{i}" for i, node in listed})
        for _ in range(ROUNDS):
            rounds.append({nodes.index(node) for node in bench.send()})
            bench.take([])
            evaluate = bench.strategy.configure_evaluate(
                1, bench.arrays, ConfigRecord(), bench.grid
            )
            rounds.append({nodes.index(m.metadata.dst_node_id) for m in evaluate})
        return rounds

    draw = random.Random(number)
    ids = [draw.getrandbits(63) for _ in range(NODES)]
    assert sampled(ids) == sampled(list(range(2, 2 + NODES)))
    assert len({frozenset(devices) for devices in sampled(ids)}) > 1


def test_all_else_is_left_to_the_grid() -> None:
    grid = create_autospec(Grid, instance=True)
    roster, content = OrderedGrid(grid), RecordDict()
    assert roster.run is grid.run
    roster.set_run(grid.run)
    grid.set_run.assert_called_once_with(grid.run)
    made = roster.create_message(content, "train", 3, "group", 1.5)
    assert made is grid.create_message.return_value
    grid.create_message.assert_called_once_with(content, "train", 3, "group", 1.5)
    assert roster.push_messages([made]) is grid.push_messages.return_value
    grid.push_messages.assert_called_once_with([made])
    assert roster.pull_messages(["id"]) is grid.pull_messages.return_value
    grid.pull_messages.assert_called_once_with(["id"])
    replies = roster.send_and_receive([made], timeout=2.0)
    assert replies is grid.send_and_receive.return_value
    grid.send_and_receive.assert_called_once_with([made], timeout=2.0)
