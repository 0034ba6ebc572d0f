"""Runs a controller over a stream, and makes streams to run it over."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.stream.controller import (
    Arrival,
    Controller,
    make_controller,
)
from fedask.client.records.arrival_pace import ControllerState
from fedask.common.sections import StreamConfig

Floats = NDArray[np.float64]


def made(controller: str, **values: Any) -> Controller:  # noqa: ANN401  (any field)
    return make_controller(StreamConfig(controller=controller, **values))


def arriving(
    utilities: Sequence[float] | Floats,
    budget: float,
    draws: Sequence[float] | Floats | None = None,
) -> list[Arrival]:
    given = [0.5] * len(utilities) if draws is None else draws
    return [
        Arrival(utility=float(u), over=u >= 0, draw=float(d), budget=budget)
        for u, d in zip(utilities, given, strict=True)
    ]


def run(
    controller: Controller,
    arrivals: Sequence[Arrival],
    state: ControllerState | None = None,
) -> tuple[list[int], ControllerState]:
    """Let a controller decide alone; returns the rows it asks and its last state."""
    at = controller.start(ControllerState(), cut=False) if state is None else state
    asked = []
    for row, arrival in enumerate(arrivals):
        queried = controller.query(at, arrival)
        at = controller.update(at, arrival, queried=queried)
        asked += [row] * queried
    return asked, at


def drifting(seed: int, count: int) -> tuple[Floats, Floats]:
    """Make utilities that rise half-way, and draws."""
    rng = np.random.default_rng(seed)
    utilities = rng.beta(2, 5, count)
    utilities[count // 2 :] = rng.beta(5, 2, count - count // 2)
    return utilities, rng.random(count)
