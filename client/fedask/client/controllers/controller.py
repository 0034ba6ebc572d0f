"""What a controller is, and the table of their names. Called by the stream.

A controller decides sample by sample, in the order of arrival, and keeps a budget: so
many labels per sample. It holds no state: a state goes in and a state comes out, so a
device that was killed goes on from what its store says.
"""

from dataclasses import dataclass
from typing import Protocol

from fedask.common.registry import make
from fedask.common.sections import StreamConfig

CONTROLLERS = {
    "biqf": "fedask.client.controllers.biqf:Biqf",
    "split": "fedask.client.controllers.split:Split",
    "fixed-cut": "fedask.client.controllers.fixed_cut:FixedCut",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What controllers remember. Each uses what it needs, and leaves the rest alone.

    Parameters
    ----------
    owed
        Labels that the budget has paid for so far, less those that were asked.
    recent
        The last utilities, oldest first; a bounded number.
    spent
        Labels asked of late: a sum that forgets.
    theta
        A threshold that moves by steps.
    """

    owed: float = 0.0
    recent: tuple[float, ...] = ()
    spent: float = 0.0
    theta: float = 1.0


class Controller(Protocol):
    """Decides who of those that arrive is asked. Made with a ``StreamConfig``."""

    def start(self, state: State, *, cut: bool) -> State:
        """Begin anew: with another model, and a cut or none. What is owed stays owed.

        With a cut, the threshold begins at utility 0, which is the cut.
        """
        ...

    def query(self, state: State, arrival: Arrival) -> bool:
        """Tell whether to ask this sample. Changes nothing."""
        ...

    def update(self, state: State, arrival: Arrival, *, queried: bool) -> State:
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
