"""The Split strategy: a moving threshold, and a share of the samples left to chance.

References
----------
Zliobaite, Bifet, Pfahringer and Holmes, "Active learning with drifting streaming data",
IEEE Transactions on Neural Networks and Learning Systems 25(1), 2014.
"""

from dataclasses import replace

from typing_extensions import override

from fedask.client.learning.stream.controller import Arrival, Controller
from fedask.client.records.arrival_pace import ControllerState
from fedask.common.sections import StreamConfig

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
