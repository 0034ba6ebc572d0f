"""Ctrl-C and SIGTERM end a run and all its processes, and what is kept goes on."""

import json
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.simulations.leftovers import (
    VARIABLE,
    family,
    left_over,
    listening,
)
from tests.support.simulations.program import COMMAND, environment, fedask, started

TINY = ["simulate", "tiny", "--set", "fleet.devices=2", "--set", "ask.quota=4"]
TINY += ["--set", "ask.cycles=2", "--set", "train.rounds=1", "--json"]
POLL_S = 0.1
START_TIMEOUT_S = 120.0


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("runtime", "number", "code"),
    [
        ("ray", signal.SIGINT, 130),
        ("superlink", signal.SIGTERM, 143),
    ],
)
@pytest.mark.usefixtures("terminal_signals")
def test_interrupted_run_leaves_no_process_and_resumes_to_the_same_result(
    runtime: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    token, out = uuid4().hex, tmp_path / "out"
    ours = {VARIABLE: token}
    arguments = [*TINY, "--runtime", runtime, "--out", str(out)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(ours),
    ) as process:
        wait_for(out / "checkpoint.npz", process)
        addresses = listening(family(token))
        process.send_signal(number)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert addresses == {"127.0.0.1"}
    assert errors == f"interrupted; continue with --resume (kept in {out})\n"
    assert printed == ""
    assert left_over(token) == []
    resumed = started(*arguments, "--resume", extra=ours, timeout_s=200)
    assert resumed.returncode == 0, resumed.stderr
    assert left_over(token) == []
    whole = fedask(*TINY, "--out", tmp_path / "inline")
    assert result(resumed) == result(whole)


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("terminal_signals")
def test_ray_that_is_interrupted_in_its_start_is_gone(tmp_path: Path) -> None:
    token, out = uuid4().hex, tmp_path / "out"
    with subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, *TINY, "--runtime", "ray", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment({VARIABLE: token}),
    ) as process:
        while not any("gcs_server" in line for line in left_over(token)):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "--resume" in errors
    assert left_over(token) == []


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("terminal_signals")
def test_interrupted_comparison_starts_no_other_run(tmp_path: Path) -> None:
    token, out = uuid4().hex, tmp_path / "out"
    arguments = ["compare", *TINY[1:], "--seeds", "1", "--runtime", "ray"]
    arguments += ["--policies", "global-cut,uniform-random", "--out", str(out)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({VARIABLE: token}),
    ) as process:
        wait_for(out / "runs" / "global-cut" / "seed-0" / "checkpoint.npz", process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert left_over(token) == []
    assert json.loads((out / "summary.json").read_text())["partial"]
    assert not (out / "runs" / "uniform-random").exists()


def result(done: "subprocess.CompletedProcess[str]") -> dict[str, object]:
    """Return all that must be the same, whatever the runtime."""
    found: dict[str, object] = json.loads(done.stdout)
    # Nodes have other ids after the restart: the cut went to them once more.
    return {key: found[key] for key in ("digest", "rows", "ledger", "refused")}


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a file is there, without sleeping: the process says when it ends."""
    for _ in range(round(START_TIMEOUT_S / POLL_S)):
        if path.exists():
            return
        try:
            process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"{path.name} was never written: {process.communicate()}")
