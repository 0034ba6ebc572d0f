"""A device of a simulation is one by itself, whatever its model does to itself."""

from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context
from tests.support.client.zoo import TELLING, scenario

from fedask.client import app
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.learner import Learner
from fedask.simulations.run import apps
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes.runtime import Apps

OURS = Apps(apps.client, apps.server)


def outcome(out: Path, model: str) -> dict[str, Any]:
    """Run, and return all that must not depend on what ran before."""
    found = simulate(OURS, scenario(model, rounds=2), out)
    del found["seconds"]
    return found


@pytest.mark.slow  # all of the zoo: python -m tests.benchmarks zoo
@pytest.mark.parametrize("model", [*TELLING, "Clamped"])
def test_devices_that_share_a_process_learn_what_they_would_in_one_of_their_own(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = outcome(tmp_path / "shared", model)
    assert shared["refused"] == []

    prepare = app._Handler._prepare

    def fresh(handler: app._Handler, context: Context) -> RunContext:
        """Make the learner of each message anew, as a real device does."""
        handler._prepared = None
        app._learners.clear()
        return prepare(handler, context)

    monkeypatch.setattr(app._Handler, "_prepare", fresh)
    # One process for each message also trains each device by itself.
    monkeypatch.setattr(Learner, "train_together", lambda *_: {})
    alone = outcome(tmp_path / "alone", model)

    assert alone == shared
