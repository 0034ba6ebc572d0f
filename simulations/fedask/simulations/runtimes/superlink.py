"""The superlink runtime: a real SuperLink and a real SuperNode per device.

Called by ``simulate``. What is submitted is a Flower App like any other, built in a
temporary folder; every message to a device starts a fresh process there. Everything
listens on this machine's loopback alone, and only therefore speaks without TLS. Nothing
is sent elsewhere: Flower's telemetry and its check for updates are off.
"""

import http.client
import os
import re
import shutil
import socket
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from fedask.common import errors
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, FedaskError
from fedask.server.checkpoint import SERVER
from fedask.simulations.devices import asked
from fedask.simulations.runtimes.processes import Processes, sigterm_unwinds, tail
from fedask.simulations.runtimes.runtime import Apps, Asked

_LOOPBACK = "127.0.0.1"
_NAME = "fedask-run"  # Flower: letters, digits and hyphens, at most 32
_CONNECTION = "loopback"

_START_TIMEOUT_S = 120.0  # a SuperLink takes 5 s on an idle core
_SUBMIT_TIMEOUT_S = 120.0  # until the ServerApp runs and every node is there
_HEALTH_TIMEOUT_S = 2.0

# What Flower itself bundles (flwr/cli/constant.py); the rest never reaches a device.
_BUNDLED = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl"}
_BUNDLED_NAMES = {"LICENSE", ".gitignore"}

_PYPROJECT: dict[str, Any] = {
    "project": {
        "name": _NAME,
        "version": "1.0.0",
        "description": "A fedask scenario",
        "license": "Apache-2.0",
        "dependencies": ["flwr"],
    },
    "tool": {
        "flwr": {
            "app": {
                "publisher": "fedask",
                "components": {
                    "serverapp": "fedask.simulations.apps:server",
                    "clientapp": "fedask.simulations.apps:client",
                },
            }
        }
    },
}


def run(apps: Apps, scenario: Scenario) -> Asked:
    """Run both apps on real SuperNodes. See ``runtime.Runtime``.

    Raises
    ------
    ConfigError
        If the devices would keep their labels in memory, or Flower is not installed
        beside this Python.
    UnavailableError
        If a process does not start in time, or ends before the run does.
    """
    if scenario.fleet.store == "memory":
        msg = "fleet.store = 'memory' forgets between messages on SuperNodes: use "
        raise ConfigError(msg + "fleet.store = 'sqlite', or --runtime inline")
    out = Path(scenario.run.out)
    (out / SERVER).unlink(missing_ok=True)  # its coming back tells that all went well
    with ExitStack() as stack:
        stack.enter_context(sigterm_unwinds())
        folder = Path(stack.enter_context(_temporary_folder()))
        app = write_app(apps, scenario, folder)
        processes = stack.enter_context(Processes(out / "logs", _environment(folder)))
        address = _start(processes, scenario, folder)
        _submit(processes, scenario, app, folder, address)
    return asked(scenario)


def _start(processes: Processes, scenario: Scenario, folder: Path) -> str:
    """Start the SuperLink and, once it answers, the SuperNodes; return its address."""
    devices = scenario.fleet.devices
    port, *node_ports = _free_ports(1 + devices)
    address = f"{_LOOPBACK}:{port}"
    link = ["flower-superlink", "--insecure", "--host", _LOOPBACK, "--port", str(port)]
    link.append("--disable-runtime-dependency-installation")
    processes.start("superlink", link)
    processes.wait_until(lambda: _healthy(port), "the SuperLink", _START_TIMEOUT_S)
    for index, node_port in enumerate(node_ports):
        name = f"supernode-{index}"
        node = ["flower-supernode", "--insecure", "--superlink", address]
        node += ["--host", _LOOPBACK, "--port", str(node_port)]
        node += ["--node-config", f"partition-id={index} num-partitions={devices}"]
        # A home each: two nodes would unpack the same app into the same place.
        processes.start(name, node, {"FLWR_HOME": str(folder / name)})
    return address


def _submit(
    processes: Processes, scenario: Scenario, app: Path, folder: Path, address: str
) -> None:
    """Hand in the app and wait for its end.

    Raises
    ------
    FedaskError
        Of the class that stopped the ServerApp, with the last lines of its log.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    connection = {"address": address, "insecure": True}
    config = {"superlink": {"default": _CONNECTION, _CONNECTION: connection}}
    (home / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    processes.start("run", ["flwr", "run", str(app), _CONNECTION, "--stream"])
    rounds = scenario.ask.cycles * scenario.train.rounds
    timeout_s = _SUBMIT_TIMEOUT_S + rounds * scenario.run.round_timeout_s
    processes.wait_for("run", timeout_s)
    if not (Path(scenario.run.out) / SERVER).exists():
        raise _failure(processes.log("run"))


def _failure(log: Path) -> FedaskError:
    """Return the error of the ServerApp, as far as its log tells."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^fedask\.common\.errors\.(\w+): (.*)", text, re.MULTILINE)
    name, message = found[-1] if found else ("", "")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, FedaskError):
        return kind(message)
    return FedaskError(f"the run failed; the end of its log:\n{tail(log)}")


def write_app(apps: Apps, scenario: Scenario, folder: Path) -> Path:
    """Write the Flower App to submit: the user's own, or one that names ours.

    Its run configuration is the whole scenario; ``flwr run --run-config`` would refuse
    every key that the user's own table does not have.

    Returns
    -------
    Path
        The app's folder, in ``folder``.
    """
    table = _PYPROJECT
    app = (
        folder / "app" / (_NAME if apps.folder is None else apps.folder.resolve().name)
    )
    if apps.folder is None:
        app.mkdir(parents=True)
    else:
        shutil.copytree(apps.folder, app, ignore=_left_out)
        source = (apps.folder / "pyproject.toml").read_text(encoding="utf-8")
        table = tomllib.loads(source)
    flower = table["tool"]["flwr"]
    with_config = {**flower["app"], "config": scenario.to_dict()}
    tools = {**table["tool"], "flwr": {**flower, "app": with_config}}
    text = tomli_w.dumps({**table, "tool": tools})
    (app / "pyproject.toml").write_text(text, encoding="utf-8")
    return app


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Tell ``copytree`` what no bundle holds: other files, caches, hidden folders."""
    return {
        name
        for name in names
        if name not in _BUNDLED_NAMES
        and (
            name.startswith((".", "__pycache__"))
            or (Path(folder, name).is_file() and Path(name).suffix not in _BUNDLED)
        )
    }


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """Make a folder; a process that was killed may have left a file half gone."""
    with tempfile.TemporaryDirectory(
        prefix="fedask-", ignore_cleanup_errors=True
    ) as folder:
        yield folder


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment, less what would lead Flower elsewhere."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    # Flower finds its own commands by PATH, also where no environment is activated.
    path = [str(Path(sys.executable).parent), env.get("PATH", "")]
    return env | {
        "PATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",  # so that the logs tell what was last
        "NO_PROXY": f"{_LOOPBACK},localhost",
        "no_proxy": f"{_LOOPBACK},localhost",
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",  # seconds; 1 by default
    }


def _free_ports(count: int) -> list[int]:
    """Return ports that were free just now, all different."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind((_LOOPBACK, 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


def _healthy(port: int) -> bool:
    """Tell whether the SuperLink answers."""
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
