"""What to run: a scenario file, or the folder of a user's own Flower App.

Called by the commands, and again in every worker process: app objects do not travel
between processes, paths do.
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fedask.common.config import Scenario, read_scenario
from fedask.common.errors import ConfigError
from fedask.common.registry import load_attr, nearest
from fedask.simulations.runtimes.runtime import Apps

__all__ = ["Program", "open_program"]


@dataclass(frozen=True, slots=True)
class Program:
    """A scenario and the apps that run it.

    Parameters
    ----------
    path
        Scenario file or app folder.
    scenario
        With all settings applied.
    """

    path: Path
    scenario: Scenario

    def load_apps(self) -> Apps:
        """Import the two apps.

        Raises
        ------
        ConfigError
            If the folder names no components, or they do not import.
        """
        if not self.path.is_dir():
            from fedask.simulations.run import apps  # noqa: PLC0415  (imports Flower)

            return Apps(apps.client, apps.server)
        folder = self.path.resolve()
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        table = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        parts = table["tool"]["flwr"]["app"].get("components", {})
        missing = {"clientapp", "serverapp"} - set(parts)
        if missing:
            raise ConfigError(
                f"{folder}/pyproject.toml: [tool.flwr.app.components] lacks "
                + ", ".join(sorted(missing))
            )
        return Apps(
            load_attr(parts["clientapp"]), load_attr(parts["serverapp"]), folder
        )


def open_program(name: str, settings: Mapping[str, Any] | None = None) -> Program:
    """Find and read a scenario.

    Parameters
    ----------
    name
        Path of a scenario file or app folder, or the name of a built-in scenario.
    settings
        Dotted keys that replace values of the file.

    Raises
    ------
    ConfigError
        If there is no such scenario, or it holds an unknown or wrong value.
    """
    path = _find(name)
    scenario = read_scenario(path)
    if path.is_dir() and str(path.resolve()) not in sys.path:
        # The scenario may name attributes of the user's own package.
        sys.path.insert(0, str(path.resolve()))
    return Program(path, scenario.with_values(settings or {}))


def _find(name: str) -> Path:
    path = Path(name)
    if path.exists():
        return path
    built_in = _built_in_scenarios()
    if name in built_in:
        return built_in[name]
    raise ConfigError(
        f"no scenario file or folder {name!r}, and no built-in scenario of that name"
        + nearest(name, built_in)
    )


def _built_in_scenarios() -> dict[str, Path]:
    """Return the scenarios that fedask carries, by name."""
    folder = Path(str(resources.files("fedask.simulations"))) / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
