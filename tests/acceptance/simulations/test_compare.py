import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.simulations.test_simulate import read, wait_for
from tests.support.simulations.program import COMMAND, environment, fedask

# Runs one after the other: a process of its own imports torch for what takes a second.
ALONE = ("--workers", "1")

pytestmark = pytest.mark.timeout(120)  # a fixture runs a dozen runs


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
    assert "With 2 seeds p cannot be below 0.5." in done.stdout
    return out


def test_compare_writes_summary_drawing_and_page(compared: Path) -> None:
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
    assert (compared / "curves.svg").read_text().startswith("<svg xmlns=")
    page = (compared / "report.html").read_text()
    assert "global-cut" in page
    assert "<script" not in page
    table = (compared / "table.md").read_text().splitlines()
    assert sum(line.startswith("| `") for line in table) == 4


def test_the_reference_saves_nothing_against_itself(compared: Path) -> None:
    row = read(compared / "summary.json")["policies"]["uniform-random"]
    assert row["labels_saved"] == 0.0


def test_arms_begin_with_the_same_labels_and_random_ones_with_theirs(
    compared: Path,
) -> None:
    firsts: dict[bool, set[str]] = {True: set(), False: set()}
    for result in compared.glob("runs/*/seed-0/result.json"):
        random = result.parent.parent.name.endswith("-random")
        firsts[random].add(json.dumps(first_cycle(result.parent / "asked.csv")))
    assert len(firsts[True]) == len(firsts[False]) == 1
    assert firsts[True] != firsts[False]


def first_cycle(asked: Path) -> list[str]:
    rows = [line.split(",") for line in asked.read_text().splitlines()[1:]]
    return [uid for _, cycle, uid in rows if cycle == "1"]


def test_active_learning_costs_few_bytes_on_the_demo_scenario(tmp_path: Path) -> None:
    out = tmp_path / "out"
    values: list[str] = ["--set", "ask.cycles=3", "--seeds", "1", "--set", "seed=7"]
    done = fedask("compare", "digits", *values, *ALONE, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["seeds"] == [7]  # from the scenario's on
    for row in summary["policies"].values():
        assert row["bytes_per_device_per_cycle"] <= 3000
        assert row["extra_messages"] == 0


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare ten arms: the cross product, and one that it cannot say."""
    out = tmp_path_factory.mktemp("arms") / "out"
    done = fedask("compare", "tiny", *CROSS, *ALONE, "--out", out)
    assert done.returncode == 0, done.stderr
    for name in ARMS:
        assert f" {name} " in done.stdout
    assert "uniform-random (reference)" in done.stdout
    return out


MIX = "0.7*margin + 0.3*entropy"
CROSS = ["--policies", "global-cut,uniform-random", "--seeds", "1"]
CROSS += ["--scorers", f"margin,entropy,{MIX},density", "--batchers", "cluster,top"]
CROSS += ["--arm", "small batches:ask.quota=4,ask.cycles=5"]
ARMS = {
    f"global-cut + {scorer} + {batcher}"
    for scorer in ("margin", "entropy", f"({MIX})", "density")
    for batcher in ("cluster", "top")
} | {"small batches"}


def test_arms_are_the_cross_product_and_those_named(crossed: Path) -> None:
    arms = read(crossed / "summary.json")["policies"]
    assert set(arms) == ARMS | {"uniform-random"}
    assert arms[f"global-cut + ({MIX}) + top"]["settings"] == {
        "ask.policy": "global-cut",
        "ask.scorer": MIX,
        "ask.batcher": "top",
    }
    assert arms["uniform-random"]["settings"] == {"ask.policy": "uniform-random"}
    small = arms["small batches"]
    assert small["settings"] == {"ask.quota": 4, "ask.cycles": 5}
    assert small["labels"][::4] == [8, 24]  # four more a cycle, or a little later
    assert all(arm["against"]["p_holm"] == 1.0 for arm in map(arms.get, ARMS) if arm)
    # What an arm chose is what was asked: no two arms asked the same samples.
    assert len({arm["selected_digest"][0] for arm in arms.values()}) == len(arms)


def test_runs_lie_in_folders_named_after_their_arms(crossed: Path) -> None:
    folders = {path.name for path in (crossed / "runs").iterdir()}
    assert len(folders) == len(ARMS) + 1
    assert {"uniform-random", "global-cut+entropy+top"} <= folders
    kept = read(crossed / "arms.json")
    assert {arm["folder"] for arm in kept.values()} == folders


def test_many_arms_leave_a_page_that_draws_few_and_a_table_of_all(
    crossed: Path,
) -> None:
    page = (crossed / "report.html").read_text()
    assert "8 of 10 arms: the best by AULC, the reference, the worst" in page
    table = (crossed / "table.md").read_text()
    for name in ARMS:
        assert f"`{name}`" in table
        assert name in page


def test_resumed_comparison_keeps_its_runs_and_takes_more_arms(
    crossed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(crossed, out)
    before = read(out / "summary.json")["policies"]
    done_run = out / "runs" / "global-cut+margin+top" / "seed-0"
    stamp = (done_run / "result.json").stat().st_mtime_ns
    shutil.rmtree(out / "runs" / "global-cut+entropy+top")
    more = ["--arm", "deep:ask.shortlist=8.0", "--resume", "--json", "--out", str(out)]
    done = fedask("compare", "tiny", *CROSS, *ALONE, *more)
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)["policies"]
    assert set(after) == {*before, "deep"}
    assert (done_run / "result.json").stat().st_mtime_ns == stamp
    for name, arm in before.items():
        for key in ("selected_digest", "model_digest", "accuracy"):
            assert after[name][key] == arm[key], name


def test_arm_with_other_settings_is_not_resumed(crossed: Path) -> None:
    before = read(crossed / "summary.json")
    other = [text.replace("ask.quota=4", "ask.quota=3") for text in CROSS]
    done = fedask("compare", "tiny", *other, "--out", crossed, "--resume")
    assert done.returncode == 2
    assert "'small batches' had other settings there (ask.quota)" in done.stderr
    assert read(crossed / "summary.json") == before


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("terminal_signals")
def test_ctrl_c_reports_on_what_is_finished_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["compare", "digits", "--seeds", "2", "--workers", "1"]
    arguments += ["--policies", "global-cut,uniform-random"]
    arguments += ["--set", "ask.cycles=3", "--set", "fleet.devices=6"]
    arguments += ["--out", str(out)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        wait_for(out / "runs" / "uniform-random" / "seed-0" / "history.jsonl", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    summary = read(out / "summary.json")
    assert summary["partial"]
    assert len(summary["policies"]["global-cut"]["accuracy"]) == 1
    done = fedask(*arguments, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["partial"]
