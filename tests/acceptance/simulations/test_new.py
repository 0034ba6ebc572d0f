import json
import tomllib
from pathlib import Path

import pytest
from tests.support.simulations.program import fedask


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_new_app_runs_as_it_is(tmp_path: Path) -> None:
    app = tmp_path / "my-app"
    done = fedask("new", app)
    assert done.returncode == 0, done.stderr
    task = (app / "my_app" / "task.py").read_text().splitlines()
    assert len(task) <= 30
    project = tomllib.loads((app / "pyproject.toml").read_text())["project"]
    assert [d.split(">")[0] for d in project["dependencies"]] == ["flwr"]
    out = tmp_path / "out"
    run = fedask("simulate", app, "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["refused"] == []
    assert result["ledger"]["answered"] > 150
    assert result["doubts"] == []


def test_new_leaves_an_existing_folder_alone(tmp_path: Path) -> None:
    app = tmp_path / "my-app"
    app.mkdir()
    done = fedask("new", app)
    assert done.returncode == 2
    assert list(app.iterdir()) == []


def test_compare_runs_an_app_in_worker_processes(tmp_path: Path) -> None:
    app = tmp_path / "my-app"
    assert fedask("new", app).returncode == 0
    done = fedask(
        "compare",
        app,
        "--policies",
        "global-cut,uniform-random",
        "--seeds",
        "1",
        "--set",
        "ask.cycles=2",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
