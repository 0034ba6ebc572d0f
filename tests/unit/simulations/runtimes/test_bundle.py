import tomllib
from pathlib import Path
from typing import Any

import pytest
from flwr.cli.build import build_fab_from_disk
from flwr.common.config import get_fab_config

from fedask.common.config import Scenario, flatten
from fedask.common.errors import ConfigError
from fedask.simulations.runtimes.bundle import write_bundle

# Flower's own, while it builds a bundle.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")

APP = """
[project]
name = "my-app"
version = "1.2.3"
dependencies = ["flwr>=1.41"]

[tool.flwr.app]
publisher = "me"

[tool.flwr.app.components]
serverapp = "my_app.apps:server"
clientapp = "my_app.apps:client"

[tool.flwr.app.config]
seed = 3

[tool.other]
kept = true
"""


def read(bundle: Path) -> dict[str, Any]:
    return tomllib.loads((bundle / "pyproject.toml").read_text(encoding="utf-8"))


def config_of(bundle: Path) -> dict[str, Any]:
    """Return the config as the SuperLink will: out of the bundle that Flower builds."""
    project = get_fab_config(build_fab_from_disk(bundle))
    return flatten(project["tool"]["flwr"]["app"]["config"])


def my_app(folder: Path) -> Path:
    (folder / "my_app").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(APP, encoding="utf-8")
    apps = "client = None\nserver = None\n"
    (folder / "my_app" / "apps.py").write_text(apps, encoding="utf-8")
    (folder / "my_app" / "__init__.py").touch()
    for name in (".venv", "__pycache__", "runs"):
        (folder / name).mkdir()
    (folder / ".venv" / "big.py").touch()
    (folder / "runs" / "model.npz").touch()
    return folder


def test_every_setting_survives_the_bundle(tmp_path: Path) -> None:
    scenario = Scenario.from_dict(
        {
            "name": 'quotes " and \\ and é',
            "strategy": {"name": "FedAdam", "options": {"eta": 1e-3, "tau": 1}},
            "train": {"lr": 1e-05, "restart": True},
            "run": {"out": str(tmp_path), "round_timeout_s": 3.0},
        }
    )
    bundle = write_bundle(tmp_path, scenario, None)
    flat = config_of(bundle)
    assert flat["data.folder"] == ""
    assert Scenario.from_flat(flat) == scenario


def test_own_app_is_copied_with_the_whole_scenario(tmp_path: Path) -> None:
    folder = my_app(tmp_path / "source" / "my-app")
    scenario = Scenario(seed=11)
    bundle = write_bundle(tmp_path, scenario, folder)
    assert bundle == tmp_path / "my-app"
    assert Scenario.from_flat(config_of(bundle)) == scenario
    project = read(bundle)
    assert project["tool"]["flwr"]["app"]["components"] == {
        "serverapp": "my_app.apps:server",
        "clientapp": "my_app.apps:client",
    }
    assert project["tool"]["other"] == {"kept": True}
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*")}
    code = {"my_app", "my_app/apps.py", "my_app/__init__.py"}
    assert names == {"pyproject.toml", "runs"} | code
    assert read(folder)["tool"]["flwr"]["app"]["config"] == {"seed": 3}


@pytest.mark.parametrize("text", [None, "not = = toml", "[project]\nname = 'x'\n"])
def test_what_is_no_flower_app_is_refused(text: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    if text is not None:
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        write_bundle(tmp_path / "out", Scenario(), folder)
