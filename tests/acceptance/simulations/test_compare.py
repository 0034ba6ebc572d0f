import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.simulations.program import COMMAND, environment, fedask
from tests.acceptance.simulations.test_simulate import read, wait_for


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare") / "out"
    done = fedask(
        "compare",
        "tiny",
        "--policies",
        "global-cut,local-topk,uniform-random,proportional-random",
        "--seeds",
        "2",
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert "global-cut" in done.stdout
    assert "with 2 seed(s) p is never below 0.5." in done.stdout
    return out


def test_compare_writes_summary_plot_and_page(compared: Path) -> None:
    summary = read(compared / "summary.json")
    assert set(summary["policies"]) == {
        "global-cut",
        "local-topk",
        "uniform-random",
        "proportional-random",
    }
    assert summary["target_accuracy"] is not None
    for row in summary["policies"].values():
        assert row["labels"][0] == 8
        assert row["labels"][-1] <= 24
        assert row["ledger"]["spent"] <= row["ledger"]["bought"] == 2 * 24
        assert len(row["accuracy"]) == 2
        assert row["extra_messages"] == 0
        assert len(row["aulc"]) == len(row["stopped"]) == 2
        assert all(len(column) == 3 for column in row["figures"].values())
    against = summary["policies"]["global-cut"]["against"]
    assert against["pairs"] == 2
    assert against["p"] >= against["p_least"] == 0.5
    assert (compared / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (compared / "report.html").read_text()
    assert "global-cut" in page
    assert "<script" not in page


def test_the_reference_saves_nothing_against_itself(compared: Path) -> None:
    row = read(compared / "summary.json")["policies"]["uniform-random"]
    assert row["labels_saved"] == 0.0


def test_every_policy_begins_with_the_same_labels(compared: Path) -> None:
    firsts = set()
    for result in compared.glob("runs/*/seed-0/result.json"):
        firsts.add(json.dumps(first_cycle(result.parent / "asked.csv")))
    assert len(firsts) == 1


def first_cycle(asked: Path) -> list[str]:
    rows = [line.split(",") for line in asked.read_text().splitlines()[1:]]
    return [uid for _, cycle, uid in rows if cycle == "1"]


def test_active_learning_costs_few_bytes_on_the_demo_scenario(tmp_path: Path) -> None:
    out = tmp_path / "out"
    values: list[str] = ["--set", "ask.cycles=3", "--seeds", "1"]
    done = fedask("compare", "digits", *values, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    for row in summary["policies"].values():
        assert row["bytes_per_device_per_cycle"] <= 3000
        assert row["extra_messages"] == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ctrl_c_reports_on_what_is_finished_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["compare", "digits", "--set", "ask.cycles=3", "--seeds", "3"]
    arguments += ["--workers", "1", "--out", str(out)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        wait_for(out / "runs" / "local-topk" / "seed-0" / "history.jsonl", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    summary = read(out / "summary.json")
    assert summary["partial"]
    assert len(summary["policies"]["global-cut"]["accuracy"]) == 1
    done = fedask(*arguments, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["partial"]
