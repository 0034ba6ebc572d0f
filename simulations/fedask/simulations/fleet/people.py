"""Simulated people beside the devices. They know the truth; devices do not.

A user's own is named ``package.module:attr`` in ``fleet.people``: a callable that takes
(truth, scenario) and returns an ``Oracle``; ``truth`` maps uids to class indices.
"""

from collections.abc import Callable, Mapping, Sequence

from typing_extensions import override

from fedask.client.labelling.oracles.oracle import Nobody, Oracle
from fedask.client.records.label_queue import Item
from fedask.common.config import Scenario
from fedask.common.ids import Uid
from fedask.common.registry import make

Truth = Callable[[Sequence[Uid]], Sequence[int]]

PEOPLE = {
    "perfect": "fedask.simulations.fleet.people:Perfect",
    "slow": "fedask.simulations.fleet.people:Slow",
    "absent": "fedask.simulations.fleet.people:Absent",
}


class Perfect(Oracle):
    """Answers everything at once and is always right."""

    def __init__(self, truth: Truth, scenario: Scenario) -> None:  # noqa: ARG002  (the seam's signature)
        self._truth = truth

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        uids = [item.uid for item in items]
        return dict(zip(uids, self._truth(uids), strict=True))


class Slow(Perfect):
    """Is always right, but answers one cycle after the question was asked."""

    def __init__(self, truth: Truth, scenario: Scenario) -> None:
        super().__init__(truth, scenario)
        self._rounds = scenario.train.rounds

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        cycle = tick // self._rounds + 1
        return super().answer([i for i in items if i.cycle < cycle], tick)


class Absent(Nobody):
    """Never answers."""

    def __init__(self, truth: Truth, scenario: Scenario) -> None:
        """Take what every simulated person takes, and use none of it."""


def make_person(scenario: Scenario, truth: Truth) -> Oracle:
    """Make the simulated person of a device.

    Raises
    ------
    ConfigError
        If ``fleet.people`` is unknown.
    """
    person: Oracle = make("people", scenario.fleet.people, PEOPLE, truth, scenario)
    return person
