"""A device of a simulation is one by itself, whatever its model does to itself."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.client.zoo import TELLING, ZOO, scenario

from fedask.client import app
from fedask.client.learning.training.learner import Learner
from fedask.common.sections import TrainConfig
from fedask.common.task import Task
from fedask.simulations.run import apps
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes.runtime import Apps

OURS = Apps(apps.client, apps.server)


def outcome(out: Path, model: str) -> dict[str, Any]:
    """Run, and return all that must not depend on what ran before."""
    found = simulate(OURS, scenario(model), out)
    del found["seconds"]
    return found


@pytest.mark.parametrize(
    "model",
    [
        name if name in TELLING else pytest.param(name, marks=pytest.mark.slow)
        for name in ZOO
    ],
)
def test_devices_that_share_a_process_learn_what_they_would_in_one_of_their_own(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = outcome(tmp_path / "shared", model)
    assert shared["refused"] == []

    def fresh(task: Task, config: TrainConfig) -> Learner:
        """Make the learner of each message anew, as a real device does."""
        return Learner(task, config)

    monkeypatch.setattr(app, "_learner", fresh)
    # One process for each message also trains each device by itself.
    monkeypatch.setattr(Learner, "train_together", lambda *_: {})
    alone = outcome(tmp_path / "alone", model)

    assert alone == shared
