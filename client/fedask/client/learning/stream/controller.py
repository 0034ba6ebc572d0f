"""The seam of stream controllers, the table of their names, and those built in.

Called by the stream. A controller decides sample by sample, in the order of arrival,
and keeps a budget: so many labels per sample. It holds no state: a state goes in and a
state comes out, so a device that was killed goes on from what its store says.

References
----------
BIQF: Kottke, Krempl and Spiliopoulou, "Probabilistic active learning in datastreams",
IDA 2015.
Split: Zliobaite, Bifet, Pfahringer and Holmes, "Active learning with drifting streaming
data", IEEE Transactions on Neural Networks and Learning Systems 25(1), 2014.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from typing_extensions import override

from fedask.client.records.arrival_pace import ControllerState
from fedask.common.registry import make
from fedask.common.sections import StreamConfig

__all__ = ["Arrival", "Controller"]

CONTROLLERS = {
    "biqf": "fedask.client.learning.stream.controller:Biqf",
    "split": "fedask.client.learning.stream.controller:Split",
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

    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        """Return whether to ask this sample."""

    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        """Return the state after a sample and the decision about it."""


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


class Biqf(Controller):
    """Asks samples over a quantile of the last utilities, corrected to the budget.

    With budget B, a sample is asked if its utility is at least ``theta - range * owed /
    tolerance``: theta is the (1 - B) quantile of the last ``memory`` utilities, its own
    among them, range is how far these lie apart, and owed is B * samples - labels.

    Parameters
    ----------
    config
        ``memory`` (the paper's w) and ``tolerance`` (its w_tol) are used.

    Notes
    -----
    At any time the labels asked differ from B * samples by at most ``tolerance + 1``,
    whatever the utilities: with more than ``tolerance`` owed the threshold is below
    all that is remembered, with less than ``-tolerance`` above.

    Two things are not in the paper. The memory begins full of the cut, so that the
    cut is the first threshold, and gives way sample by sample. And where all that is
    remembered is equal, range is 0 and the published rule asks every sample: here as
    many as the budget pays for.

    Examples
    --------
    Utilities that rise all the time would all be asked without the correction. Of ten
    samples with a budget of a label for two:

    >>> controller = Biqf(StreamConfig(memory=4, tolerance=2))
    >>> state = controller.start(ControllerState(), cut=False)
    >>> asked = []
    >>> for step in range(10):
    ...     arrival = Arrival(utility=step / 10, over=False, draw=0.5, budget=0.5)
    ...     asked.append(controller.query(state, arrival))
    ...     state = controller.update(state, arrival, queried=asked[-1])
    >>> sum(asked)  # at most 5 + tolerance + 1
    7
    """

    def __init__(self, config: StreamConfig) -> None:
        self._memory = config.memory
        self._tolerance = config.tolerance

    @override
    def start(self, state: ControllerState, *, cut: bool) -> ControllerState:
        return replace(state, recent=(0.0,) * self._memory if cut else ())

    @override
    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        ranked = sorted(self._recent(state, arrival))
        spread = ranked[-1] - ranked[0]
        owed = state.owed + arrival.budget
        if spread == 0.0:
            return owed >= 0.0
        # numpy's quantile: linear between two ranks, at a tenth of its cost.
        rank, part = divmod((1.0 - arrival.budget) * (len(ranked) - 1), 1.0)
        low, high = ranked[int(rank)], ranked[min(int(rank) + 1, len(ranked) - 1)]
        theta = low + (high - low) * part
        return arrival.utility >= theta - spread * (owed / self._tolerance)

    @override
    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        return replace(
            state,
            owed=state.owed + arrival.budget - queried,
            recent=self._recent(state, arrival),
        )

    def _recent(self, state: ControllerState, arrival: Arrival) -> tuple[float, ...]:
        return (*state.recent, arrival.utility)[-self._memory :]


# Scores are float32: no confidence but 0 lies below this. A threshold that went on
# falling would decide nothing else, and could not come back once it is 0.
_LEAST = 2.0**-24


class Split(Controller):
    """Asks samples below a confidence threshold that follows the budget.

    With probability ``explore`` a sample is left to chance: asked with probability B.
    Otherwise it is asked if its confidence, ``1 - utility``, is below theta, which then
    falls by ``step`` of itself; if not, theta rises by as much. Nothing is asked, and
    theta stays, while the labels of late reach B * memory; "of late" is a sum that
    loses ``1 / memory`` of itself with every sample.

    Parameters
    ----------
    config
        ``memory`` (the paper's w), ``step`` (s) and ``explore`` (v) are used.

    Notes
    -----
    The labels asked of any n samples in a row are at most ``(B + 1 / memory) * n + B *
    memory + 1``. There is no lower bound: where the model is sure of everything, theta
    first has to rise. Theta begins at 1, as in the paper: with a cut, that is the cut.

    Both of the paper's random numbers are one hash of the uid, so that a restart
    neither repeats nor skips any: below ``explore * B`` chance says yes.

    Examples
    --------
    >>> controller = Split(StreamConfig(controller="split", explore=0.1))
    >>> state = controller.start(ControllerState(), cut=False)
    >>> sure = Arrival(utility=-0.5, over=False, draw=0.7, budget=0.5)
    >>> doubtful = Arrival(utility=0.4, over=False, draw=0.7, budget=0.5)
    >>> controller.query(state, sure), controller.query(state, doubtful)
    (False, True)
    """

    def __init__(self, config: StreamConfig) -> None:
        self._memory = config.memory
        self._step = config.step
        self._explore = config.explore

    @override
    def start(self, state: ControllerState, *, cut: bool) -> ControllerState:
        return replace(state, theta=1.0)

    @override
    def query(self, state: ControllerState, arrival: Arrival) -> bool:
        if not self._pays(state, arrival):
            return False
        if arrival.draw < self._explore:
            return arrival.draw < self._explore * arrival.budget
        return 1.0 - arrival.utility < state.theta

    @override
    def update(
        self, state: ControllerState, arrival: Arrival, *, queried: bool
    ) -> ControllerState:
        theta = state.theta
        if self._pays(state, arrival) and arrival.draw >= self._explore:
            theta *= 1.0 - self._step if queried else 1.0 + self._step
        spent = state.spent * ((self._memory - 1) / self._memory) + queried
        return replace(state, theta=max(theta, _LEAST), spent=spent)

    def _pays(self, state: ControllerState, arrival: Arrival) -> bool:
        return state.spent / self._memory < arrival.budget
