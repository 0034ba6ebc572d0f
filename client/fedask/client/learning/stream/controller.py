"""The seam of stream controllers, and the table of their names.

A controller decides sample by sample, in the order of arrival, and keeps a budget: so
many labels per sample. It holds no state: a state goes in and a state comes out, so a
device that was killed goes on from what its store says.
"""

from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from fedask.client.records.arrival_pace import ControllerState
from fedask.common.registry import make
from fedask.common.sections import StreamConfig

__all__ = ["Arrival", "Controller"]

CONTROLLERS = {
    "biqf": "fedask.client.learning.stream.biqf:Biqf",
    "split": "fedask.client.learning.stream.split_controller:Split",
    "fixed-cut": "fedask.client.learning.stream.controller:FixedCut",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One sample, as a controller sees it.

    Parameters
    ----------
    utility
        Higher = ask sooner. The height of its score over the cut of its group, in
        [-1.5, 1]; without a cut the score itself.
    over
        Whether the cut alone would buy it; False without a cut.
    draw
        In [0, 1), a hash of its uid: decides whatever is left to chance.
    budget
        Labels per sample that people can give at present, in [0, 1].
    """

    utility: float
    over: bool
    draw: float
    budget: float


class Controller(Protocol):
    """Decides who of those that arrive is asked. Made with a ``StreamConfig``."""

    def start(self, state: ControllerState, *, cut: bool) -> ControllerState:
        """Start again with a new model and a cut or none; owed labels stay owed.

        With a cut, the threshold begins at utility 0, which is the cut.
        """
        ...

    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        """Return whether to ask this sample."""
        ...

    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        """Return the state after a sample and the decision about it."""
        ...


class FixedCut(Controller):
    """Asks samples that the cut would have bought; without a cut, none.

    It keeps no budget but that of the people.
    """

    def __init__(self, config: StreamConfig) -> None:
        pass

    @override
    def start(self, state: ControllerState, *, cut: bool) -> ControllerState:
        return state

    @override
    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        return arrival.over

    @override
    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        return state


def make_controller(config: StreamConfig) -> Controller:
    """Make the configured controller.

    Raises
    ------
    ConfigError
        If its name is unknown (the nearest is named).
    """
    controller: Controller = make(
        "controller",
        config.controller,
        CONTROLLERS,
        config,
        offers=("start", "query", "update"),
    )
    return controller
