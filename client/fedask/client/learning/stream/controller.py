"""What a controller is, and the table of their names. Called by the stream.

A controller decides sample by sample, in the order of arrival, and keeps a budget: so
many labels per sample. It holds no state: a state goes in and a state comes out, so a
device that was killed goes on from what its store says.
"""

from dataclasses import dataclass
from typing import Protocol

from fedask.client.records.arrival_pace import ControllerState
from fedask.common.registry import make
from fedask.common.sections import StreamConfig

__all__ = ["Arrival", "Controller"]

CONTROLLERS = {
    "biqf": "fedask.client.learning.stream.biqf:Biqf",
    "split": "fedask.client.learning.stream.split_controller:Split",
    "fixed-cut": "fedask.client.learning.stream.fixed_cut:FixedCut",
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
        """Begin anew: with another model, and a cut or none. What is owed stays owed.

        With a cut, the threshold begins at utility 0, which is the cut.
        """
        ...

    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        """Tell whether to ask this sample. Changes nothing."""
        ...

    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        """Take note of a sample and of what became of it, whoever decided that."""
        ...


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
