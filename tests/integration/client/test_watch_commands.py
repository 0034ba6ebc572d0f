"""``fedask device run-once``, ``watch`` and ``status``; killed, and two at once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import first_cut
from typer.testing import CliRunner

from fedask.client.records.device_store import GLOBAL
from fedask.common.command_line import app
from fedask.common.errors import StoreError

FEDASK = [sys.executable, "-m", "fedask.common.command_line", "device"]
# A task whose training says that it has begun, and waits until its standard input ends.
SLOW_TASK = """
import sys
from torch.nn import functional
from fedask.common import Task

def loss(logits, targets):
    if "--site" in sys.argv:  # a process of its own
        print("training", flush=True)
        sys.stdin.readline()
    return functional.cross_entropy(logits, targets)

task = Task(classes=["dark", "light"], model="linear", input_shape=(3, 4, 4), loss=loss)
"""


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """Return a device that has three answers, and a global model of a cycle before."""
    made = Ward(tmp_path, settings="[local_model]\nanswers = 3\n", stream="off")
    (tmp_path / "app" / "slow_ward_task.py").write_text(SLOW_TASK)
    project = tmp_path / "app" / "pyproject.toml"
    project.write_text(project.read_text().replace("month_task", "slow_ward_task"))
    made.arrive(30, FIRST)
    made.round(1, 0, first_cut(take=CAPACITY))
    made.round(1, 1, score=True)
    assert made.people(FIRST, CAPACITY) == 3
    return made


def begun(ward: Ward, *command: str) -> "subprocess.Popen[str]":
    """Start a command on the device's folder."""
    return subprocess.Popen(  # noqa: S603  (our own command)
        [*FEDASK, *command, "--site", str(ward.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )


def run(ward: Ward, *command: str) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(app, ["device", *command, "--site", str(ward.folder)])
    if result.exception is not None:
        raise result.exception
    return result


def in_training(process: "subprocess.Popen[str]") -> None:
    """Wait until it trains."""
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"


def test_killed_while_it_trains_nothing_is_lost_and_the_next_run_trains(
    ward: Ward,
) -> None:
    with ward.process(FIRST) as site:
        before = site.store.queue.items()
    with begun(ward, "run-once") as process:
        in_training(process)
        process.kill()
    with ward.process(FIRST) as site:
        assert site.store.queue.items() == before
        assert site.store.local_model.record() is None
        assert site.store.problem() == ""

    assert "local model trained on 3 answers" in run(ward, "run-once").stderr
    with ward.process(FIRST) as site:
        assert site.store.local_model.record() is not None


def test_run_once_and_status_tell_it_for_machines(ward: Ward) -> None:
    def told(command: str) -> Any:  # noqa: ANN401  (what JSON holds)
        return json.loads(run(ward, command, "--json").stdout)

    assert told("status")["local_model"] is None
    assert "not trained yet" in run(ward, "status").stdout
    first, again = told("run-once"), told("run-once")
    assert first["samples"] == 30
    assert first["local_model"] == {"outcome": "trained", "answers": 3, "why": ""}
    assert again["local_model"]["outcome"] == "waits"

    own = told("status")["local_model"]
    assert (own["answers"], own["newest"], own["diverged"]) == (3, True, False)
    assert "on 3 answers" in run(ward, "status").stdout
    with ward.process(FIRST) as site:
        (shared,) = site.store.models.all(GLOBAL)
        newer = {name: array + 1 for name, array in shared.items()}
        site.store.models.put(GLOBAL, newer, keep=1)
    assert not told("status")["local_model"]["newest"]
    assert "older than the global model" in run(ward, "status").stdout


def test_two_processes_at_once_train_once(ward: Ward) -> None:
    with begun(ward, "run-once") as first:
        in_training(first)
        said = run(ward, "run-once").stderr
        assert "local model not trained: another process is at it" in said
        first.communicate("\n" * 1000)
        assert first.returncode == 0


def test_watch_ends_its_training_when_it_is_told_to_stop(ward: Ward) -> None:
    with begun(ward, "watch") as process:
        in_training(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate("\n" * 1000)
    assert process.returncode == 0
    assert "local model not trained: told to stop" in err
    with ward.process(FIRST) as site:
        assert site.store.local_model.record() is None


def test_a_store_of_another_task_is_refused(ward: Ward) -> None:
    with ward.process(FIRST) as site:
        (model,) = site.store.models.all(GLOBAL)
        other = {name: array[:1] for name, array in model.items()}
        site.store.models.put(GLOBAL, other, keep=1)

    with pytest.raises(StoreError, match="was the store made for another"):
        run(ward, "run-once")
