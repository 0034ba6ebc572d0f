"""Balanced incremental quantile filter: ask the best share of the last samples.

References
----------
Kottke, Krempl and Spiliopoulou, "Probabilistic active learning in datastreams", IDA
2015.
"""

from dataclasses import replace

from typing_extensions import override

from fedask.client.learning.stream.controller import Arrival, Controller
from fedask.client.records.arrival_pace import ControllerState
from fedask.common.sections import StreamConfig


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
