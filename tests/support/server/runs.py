"""Small real runs in this process: eight devices, digits, two cycles of two rounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import Scenario
from fedask.simulations.run import apps
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes.runtime import Apps

DEVICES, CYCLES, ROUNDS, INITIAL, QUOTA = 8, 2, 2, 2, 8
SMALL = {
    "task.model": "linear",
    "fleet.devices": DEVICES,
    "fleet.alpha": 1.0,
    "fleet.store": "memory",
    "ask.cycles": CYCLES,
    "ask.quota": QUOTA,
    "ask.initial": INITIAL,
    "train.rounds": ROUNDS,
    "train.steps": 2,
    "train.lr": 0.2,
}


def small(settings: Mapping[str, Any] | None = None) -> Scenario:
    """Return the small scenario with dotted keys replaced."""
    return Scenario.from_flat({**SMALL, **(settings or {})})


def play(
    out: Path, settings: Mapping[str, Any] | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Run to the end; returns what ``result.json`` holds."""
    own = Apps(apps.client, apps.server)
    return simulate(own, small(settings), out, resume=resume)


def final_model(out: Path) -> dict[str, NDArray[Any]]:
    """Read the model that a run has written."""
    with np.load(out / "model.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
