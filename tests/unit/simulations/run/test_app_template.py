"""What ``fedask new`` writes: a folder that runs anywhere, whole or not at all."""

import tomllib
from pathlib import Path

import pytest

from fedask.common.config import Scenario, flatten
from fedask.common.errors import StoreError
from fedask.simulations.run.app_template import write_app


def test_an_app_holds_no_path_of_its_authors_machine(tmp_path: Path) -> None:
    app = tmp_path / "my-app"
    write_app(app)
    for path in app.rglob("*.*"):
        assert str(tmp_path) not in path.read_text(), path


def test_an_app_can_be_resumed_and_makes_no_simulation_the_default(
    tmp_path: Path,
) -> None:
    app = tmp_path / "my-app"
    write_app(app)
    flower = tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]
    assert "federations" not in flower
    scenario = Scenario.of_run(flatten(flower["app"]["config"]), 17)
    assert scenario.run.out == "~/fedask-runs/my-app-17"
    assert flower["app"]["config"]["run"]["resume"] is False


def test_an_app_that_cannot_be_written_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    really = Path.write_text

    def full(path: Path, text: str, encoding: str | None = None) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path.name)
        return really(path, text, encoding=encoding)

    app = tmp_path / "my-app"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(StoreError, match="No space left on device"):
            write_app(app)
    assert list(tmp_path.iterdir()) == []
    write_app(app)
