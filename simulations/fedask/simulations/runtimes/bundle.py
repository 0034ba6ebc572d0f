"""The Flower App that a SuperLink is given: code by reference, the scenario by value.

Called by the superlink runtime. The app lists no dependency but ``flwr``, and none is
installed: fedask is on the machine already.
"""

import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli_w

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError

# What Flower puts into a bundle; anything else in the folder would be left out anyway.
_BUNDLED = frozenset({".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl"})
_KEPT = frozenset({"LICENSE", ".gitignore"})
_MINIMAL: dict[str, Any] = {
    "project": {
        "name": "fedask-scenario",
        "version": "1.0.0",
        "description": "One scenario of fedask",
        "license": "Apache-2.0",
        "dependencies": ["flwr>=1.41"],
    },
    "tool": {
        "flwr": {
            "app": {
                "publisher": "fedask",
                "components": {
                    "serverapp": "fedask.simulations.run.apps:server",
                    "clientapp": "fedask.simulations.run.apps:client",
                },
            }
        }
    },
}


def write_bundle(parent: Path, scenario: Scenario, folder: Path | None) -> Path:
    """Write the folder of the app to submit.

    The whole scenario replaces the app's own ``[tool.flwr.app.config]``: ``flwr run
    --run-config`` may only change keys that are there already.

    Parameters
    ----------
    parent
        Where the folder is made.
    folder
        The user's Flower App, which is copied; None for the apps of a scenario file.

    Raises
    ------
    ConfigError
        If the user's folder is not a Flower App.
    """
    project = _MINIMAL if folder is None else _read_project(folder)
    bundle = parent / (project["project"]["name"] if folder is None else folder.name)
    if folder is None:
        bundle.mkdir()
    else:
        shutil.copytree(folder, bundle, ignore=_not_bundled)
    app = {**project["tool"]["flwr"]["app"], "config": scenario.to_dict()}
    flower = {**project["tool"]["flwr"], "app": app}
    project = {**project, "tool": {**project["tool"], "flwr": flower}}
    text = tomli_w.dumps(project)
    (bundle / "pyproject.toml").write_text(text, encoding="utf-8")
    return bundle


def _read_project(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError(f"cannot read {path}: {err}") from err
    if "app" not in project.get("tool", {}).get("flwr", {}):
        raise ConfigError(
            f"{path} has no [tool.flwr.app]: {folder} is not a Flower App"
        )
    return project


def _not_bundled(folder: str, names: Iterable[str]) -> set[str]:
    """Name what to leave out of a copied folder. Called by ``shutil.copytree``."""
    left_out = set()
    for name in names:
        path = Path(folder, name)
        hidden = name.startswith(".") or name == "__pycache__"
        if path.is_symlink() or (hidden if path.is_dir() else not _bundled(path)):
            left_out.add(name)
    return left_out


def _bundled(path: Path) -> bool:
    return path.suffix in _BUNDLED or path.name in _KEPT
