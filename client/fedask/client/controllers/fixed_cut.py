"""The broadcast cut alone: no budget is kept but that of the people."""

from typing_extensions import override

from fedask.client.controllers.controller import Arrival, Controller, State
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
    def start(self, state: State, *, cut: bool) -> State:
        return state

    @override
    def query(self, state: State, arrival: Arrival) -> bool:
        return arrival.over

    @override
    def update(self, state: State, arrival: Arrival, *, queried: bool) -> State:
        return state
