"""The broadcast cut alone: no budget is kept but that of the people."""

from typing_extensions import override

from fedask.client.learning.stream.controller import Arrival, Controller
from fedask.client.records.arrival_pace import ControllerState
from fedask.common.sections import StreamConfig


class FixedCut(Controller):
    """Ask what the cut would have bought; without a cut, nothing.

    Parameters
    ----------
    config
        Not used.
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
