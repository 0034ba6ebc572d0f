"""What a runtime is, and the table of their names. Called by ``simulate``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fedask.common.config import Scenario
from fedask.common.ids import DeviceId, Uid
from fedask.common.registry import resolve

RUNTIMES = {
    "inline": "fedask.simulations.runtimes.inline:run",
    "ray": "fedask.simulations.runtimes.ray:run",
    "superlink": "fedask.simulations.runtimes.superlink:run",
}


@dataclass(frozen=True, slots=True)
class Apps:
    """The two halves of what is run.

    Parameters
    ----------
    client, server
        The app objects; the same on every runtime.
    folder
        The Flower App's folder they come from; None for those of a scenario file.
    """

    client: ClientApp
    server: ServerApp
    folder: Path | None = None


Asked = Mapping[DeviceId, list[tuple[int, Uid]]]


class Runtime(Protocol):
    """Runs the apps to the end; returns what was asked where."""

    def __call__(self, apps: Apps, scenario: Scenario) -> Asked:
        """Run. ``scenario.run.out`` is a folder; the ServerApp writes into it.

        Raises
        ------
        FedaskError
            Whatever stopped the run.
        """
        ...


def make_runtime(name: str) -> Runtime:
    """Return a runtime by name.

    Raises
    ------
    ConfigError
        If the name is unknown (the nearest is named).
    """
    runtime: Runtime = resolve("runtime", name, RUNTIMES)
    return runtime


def run_config(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as Flower's run configuration."""
    return dict(scenario.to_flat())
