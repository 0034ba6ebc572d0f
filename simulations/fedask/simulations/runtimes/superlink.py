"""The superlink runtime: a real SuperLink and one real SuperNode per device.

Called by ``simulate``. Every message passes through Flower's own servers and starts a
fresh process, as in a deployment. All of it listens on 127.0.0.1 without TLS
(``--insecure``): nothing leaves the machine, but other users of it could connect. For
simulations only.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedask.common import errors
from fedask.common.config import Scenario
from fedask.common.errors import (
    ConfigError,
    FedaskError,
    StoreError,
    UnavailableError,
)
from fedask.simulations.fleet.devices import asked
from fedask.simulations.runtimes.bundle import write_bundle
from fedask.simulations.runtimes.processes import (
    GRACE_S,
    Fleet,
    interruptible,
    tail,
    wait_until,
)
from fedask.simulations.runtimes.runtime import Apps, Asked

_HOST = "127.0.0.1"
_CONNECTION = "fedask"
_HOME = "FLWR_HOME"
_COMMAND_TIMEOUT_S = 60.0
_LOG_LINES = 15
_REGISTERED = "SuperNode ID: "
_FINISHED = "finished:"
_COMPLETED = "finished:completed"
# How a traceback ends; the class tells who must act.
_RAISED = re.compile(r"fedask\.common\.errors\.(\w+): (.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLimits:
    """How long the machine may take; a loaded laptop needs most of it.

    Parameters
    ----------
    start_timeout_s
        From starting the SuperLink to its port being open, and from starting a
        SuperNode to its having registered.
    end_timeout_s
        From the end of the log stream to the SuperLink saying how the run ended.
    stop_grace_s
        From asking the processes to stop to killing them.
    """

    start_timeout_s: float = 120.0
    end_timeout_s: float = 60.0
    stop_grace_s: float = GRACE_S


def run(apps: Apps, scenario: Scenario, limits: StartLimits | None = None) -> Asked:
    """Run both apps on a SuperLink and SuperNodes. See ``runtime.Runtime``.

    Logs of every process are left in ``run.out``/logs.

    Raises
    ------
    ConfigError
        If Flower's programs are not installed beside this Python, the devices would
        keep their labels in memory, or ``apps.folder`` is not a Flower App.
    UnavailableError
        If a process does not start, or ends before the run does.
    FedaskError
        If the run failed: the class that the ServerApp raised, or FedaskError itself.
    """
    _check(scenario)
    limits = limits or StartLimits()
    logs = Path(scenario.run.out) / "logs"
    try:
        logs.mkdir(exist_ok=True)
    except OSError as err:
        raise StoreError(f"cannot make the folder {logs}: {err}") from err
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        temporary = tempfile.TemporaryDirectory(prefix="fedask-")
        home = Path(stack.enter_context(temporary))
        fleet = Fleet(logs.parent, logs, _environment(home, scenario))
        stack.callback(fleet.stop, limits.stop_grace_s)
        bundle = write_bundle(home, scenario, apps.folder)
        _start(fleet, home, scenario.fleet.devices, limits)
        _submit(fleet, bundle, limits)
    return asked(scenario)


def _check(scenario: Scenario) -> None:
    if scenario.fleet.store == "memory":
        raise ConfigError(
            "fleet.store = 'memory' works on the inline runtime alone: a SuperNode "
            "starts a process per message. Use fleet.store = 'sqlite'"
        )
    for program in ("flower-superlink", "flower-supernode", "flwr"):
        _program(program)


def _program(name: str) -> str:
    """Find a program of Flower beside this Python, or on the path."""
    found = shutil.which(name, path=_search_path())
    if found is None:
        raise ConfigError(
            f"{name} is not installed: pip install fedask into this environment"
        )
    return found


def _search_path() -> str:
    # Flower's programs start one another by name: those of this environment first.
    here = str(Path(sys.executable).parent)
    return os.pathsep.join([here, os.environ.get("PATH", os.defpath)])


def _environment(home: Path, scenario: Scenario) -> dict[str, str]:
    threads = str(scenario.train.threads)
    return {
        **os.environ,
        _HOME: str(home),
        "PATH": _search_path(),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": _HOST,
        "no_proxy": _HOST,
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        # Each process would otherwise start a thread per core, for one small model.
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }


def _start(fleet: Fleet, home: Path, devices: int, limits: StartLimits) -> None:
    """Start the SuperLink, then the SuperNodes, which register in their order.

    A server that samples devices knows them by that order alone. Each SuperNode has a
    home of its own: all of them unpack the app there.
    """
    port, *ports = free_ports(1 + devices)
    config = f'[superlink]\ndefault = "{_CONNECTION}"\n\n'
    config += f'[superlink.{_CONNECTION}]\naddress = "{_HOST}:{port}"\n'
    config += "insecure = true\n"
    (home / "config.toml").write_text(config, encoding="utf-8")
    superlink = [_program("flower-superlink"), "--insecure", "--host", _HOST]
    superlink += ["--port", str(port), "--disable-runtime-dependency-installation"]
    fleet.start("superlink", superlink)
    _await(fleet, lambda: _listens(port), "the SuperLink", limits.start_timeout_s)
    for index, node_port in enumerate(ports):
        name = f"supernode-{index:05d}"
        supernode = [_program("flower-supernode"), "--insecure"]
        supernode += ["--superlink", f"{_HOST}:{port}"]
        supernode += ["--host", _HOST, "--port", str(node_port)]
        supernode += ["--node-config", f"partition-id={index} num-partitions={devices}"]
        own = home / name
        own.mkdir()
        fleet.start(name, supernode, {_HOME: str(own)})
        registered = partial(_registered, fleet.path(name))
        _await(fleet, registered, name, limits.start_timeout_s)


def _registered(log: Path) -> bool:
    """Tell whether a SuperNode's log says that the SuperLink has given it an id."""
    return _REGISTERED in log.read_text(encoding="utf-8", errors="replace")


def _await(
    fleet: Fleet, ready: Callable[[], bool], what: str, timeout_s: float
) -> None:
    """Wait until a process serves; fail as soon as any of them ends."""
    wait_until(lambda: ready() or fleet.ended() is not None, timeout_s)
    ended = fleet.ended()
    if ended is not None:
        raise UnavailableError(_with_log(fleet, f"{ended} ended at once", ended))
    if not ready():
        raise UnavailableError(
            f"{what} did not start within {timeout_s:g} s: see {fleet.logs}"
        )


def _submit(fleet: Fleet, bundle: Path, limits: StartLimits) -> None:
    """Submit the app and follow its log to the end of the run."""
    command = [_program("flwr"), "run", str(bundle), _CONNECTION, "--stream"]
    following = fleet.start("run", command)
    wait_until(lambda: fleet.ended() is not None, threading.TIMEOUT_MAX)
    ended = fleet.ended()
    if ended != "run":
        msg = f"{ended} ended before the run did"
        raise UnavailableError(_with_log(fleet, msg, str(ended)))
    if following.returncode != 0:
        msg = "the SuperLink did not take the run"
        raise FedaskError(_with_log(fleet, msg, "run"))
    status = ""

    def finished() -> bool:
        nonlocal status
        status = _status(fleet)
        return status.startswith(_FINISHED)

    if not wait_until(finished, limits.end_timeout_s):
        raise UnavailableError(
            f"the log ended, but the run is {status!r} after another "
            f"{limits.end_timeout_s:g} s: see {fleet.logs}"
        )
    if status != _COMPLETED:
        raise _failure(fleet, status)


def _status(fleet: Fleet) -> str:
    """Return what the SuperLink says of the only run, as ``flwr list`` does."""
    command = [_program("flwr"), "list", _CONNECTION, "--format", "json"]
    try:
        listed = subprocess.run(  # noqa: S603  (our own arguments)
            command,
            env=dict(fleet.environment),
            capture_output=True,
            check=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
        return str(json.loads(listed.stdout)["runs"][0]["status"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as err:
        raise UnavailableError(
            f"cannot ask the SuperLink how the run ended: {err}"
        ) from err


def _failure(fleet: Fleet, status: str) -> FedaskError:
    """Make the error that the ServerApp raised, from the traceback in its log."""
    text = tail(fleet.path("run"), _LOG_LINES)
    raised = _RAISED.findall(text)
    kind = getattr(errors, raised[-1][0], None) if raised else None
    if isinstance(kind, type) and issubclass(kind, FedaskError):
        return kind(raised[-1][1])
    return FedaskError(_with_log(fleet, f"the run is {status}", "run"))


def _with_log(fleet: Fleet, msg: str, name: str) -> str:
    path = fleet.path(name)
    return f"{msg}; the last lines of {path}:\n{tail(path, _LOG_LINES)}"


def free_ports(count: int) -> list[int]:
    """Find ports of this machine that nobody listens on.

    They are free when this returns; whoever comes later may still take one, which then
    fails the start of its process.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((_HOST, port)) == 0
