import json
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.simulations.program import COMMAND, environment, fedask, started

FEW = ("--set", "ask.cycles=4", "--set", "fleet.devices=8")
DIGITS = ("simulate", "digits", *FEW, "--json")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "seconds"}


def test_simulate_writes_what_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fedask("simulate", "tiny", "--out", out)
    assert done.returncode == 0, done.stderr
    result = read(out / "result.json")
    cycles = [row for row in result["rows"] if "accuracy" in row]
    assert [row["labels"] for row in cycles] == [8, 16, 24]
    assert result["ledger"]["spent"] == 24
    assert result["wire"]["messages"] == result["wire"]["inner_messages"] == 4 * 9
    assert sum(map(sum, result["labels_by_device"].values())) == 24
    assert len((out / "history.jsonl").read_text().splitlines()) == 9
    asked = (out / "asked.csv").read_text().splitlines()[1:]
    assert len(asked) == len({line.split(",")[2] for line in asked}) == 24
    with np.load(out / "model.npz") as model:
        assert all(np.isfinite(model[name]).all() for name in model.files)


def test_a_run_that_ends_early_says_why(tmp_path: Path) -> None:
    stop = ("--set", "stop.when=budget", "--set", "stop.labels=8")
    done = fedask("simulate", "tiny", *stop, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    reason = "budget: 8 labels asked, stop.labels = 8"
    assert f"stopped after cycle 1: {reason}" in done.stderr
    result = read(tmp_path / "out" / "result.json")
    assert result["stopped"] == {"cycle": 1, "reason": reason}
    assert "AULC" in done.stdout
    again = fedask(
        "simulate", "tiny", *stop, "--out", tmp_path / "out", "--resume", "--json"
    )
    assert json.loads(again.stdout) == result


def test_failures_have_documented_exit_codes(tmp_path: Path) -> None:
    done = fedask("simulate", "tiny", "--set", "ask.quoat=1", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "did you mean 'ask.quota'?" in done.stderr
    assert not (tmp_path / "out").exists()
    done = fedask("simulate", "fashion-mnist", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "2 wrong usage" in " ".join(fedask("--help").stdout.split())


def test_progress_is_quiet_when_nobody_watches(tmp_path: Path) -> None:
    done = fedask("simulate", "tiny", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "tiny"
    assert done.stderr == ""


def test_same_seed_same_result_other_seed_other_result(tmp_path: Path) -> None:
    digests = []
    # Two interpreters: their seeds of hashes differ, which nothing may depend on.
    for number, seed in enumerate((3, 3, 4)):
        out = tmp_path / str(number)
        run = started if number == 1 else fedask
        done = run("simulate", "tiny", "--set", f"seed={seed}", "--out", out)
        assert done.returncode == 0, done.stderr
        digests.append(read(out / "result.json")["digest"])
    assert digests[0] == digests[1]
    assert digests[0]["selected"] != digests[2]["selected"]
    assert digests[0]["model"] != digests[2]["model"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_killed_run_resumes_to_the_same_result(tmp_path: Path) -> None:
    whole = json.loads(fedask(*DIGITS, "--out", tmp_path / "whole").stdout)
    rng = random.Random(7)
    out, kills = tmp_path / "killed", 0
    arguments = [*COMMAND, *DIGITS, "--out", str(out), "--resume"]
    for _ in range(4):
        with subprocess.Popen(  # noqa: S603  (our own program)
            arguments, stdout=subprocess.PIPE, env=environment()
        ) as process:
            try:
                process.communicate(timeout=rng.uniform(1.0, 3.5))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    assert kills > 0
    done = fedask(*DIGITS, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert without_time(json.loads(done.stdout)) == without_time(whole)
    again = fedask(*DIGITS, "--out", out, "--resume")
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_resume_refuses_other_settings(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert fedask("simulate", "tiny", "--out", out).returncode == 0
    (out / "result.json").unlink()
    done = fedask("simulate", "tiny", "--out", out, "--set", "seed=1", "--resume")
    assert done.returncode == 2
    assert "seed" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("terminal_signals")
def test_ctrl_c_keeps_what_can_be_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [*COMMAND, "simulate", "digits", "--out", str(out)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        arguments, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        wait_for(out / "checkpoint.npz", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert (out / "checkpoint.npz").exists()


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a file is there, without sleeping: the process says when it ends."""
    while not path.exists():
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before it wrote {path.name}")
