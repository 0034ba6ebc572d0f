"""The three runtimes agree bit for bit, leave nothing behind, and tell what failed."""

import gc
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from tests.support.simulations.leftovers import VARIABLE, left_over

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, DataError, UnavailableError
from fedask.simulations.run import apps
from fedask.simulations.run.app_template import write_app as write_template
from fedask.simulations.run.programs import open_program
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes import ray, superlink
from fedask.simulations.runtimes.processes import Fleet
from fedask.simulations.runtimes.runtime import Apps, Runtime

OURS = Apps(apps.client, apps.server)

# Ray closes neither its logs nor waits for its processes; the runtime does the latter.
ray_leaks = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)


@pytest.fixture
def nothing_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves a process or a temporary folder behind."""
    value = uuid4().hex
    monkeypatch.setenv(VARIABLE, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    gc.collect()  # what Ray forgot complains now, not in the next test
    assert left_over(value) == []
    assert not list(tmp_path.glob("fedask-*"))


def small(
    devices: int, fraction: float = 1.0, settings: Mapping[str, Any] | None = None
) -> Scenario:
    usual = {
        "fleet.devices": devices,
        "ask.policy": "global-cut",
        "ask.batcher": "cluster",
        "ask.quota": 2 * devices,
        "ask.cycles": 2,
        "train.rounds": 2,
        "train.steps": 3,
        "strategy.options.fraction_train": fraction,
    }
    return Scenario.from_flat({**usual, **(settings or {})})


def outcome(scenario: Scenario, out: Path, runtime: str) -> dict[str, object]:
    """Run, and return all that must be the same on every runtime."""
    found = simulate(OURS, scenario, out, runtime=runtime)
    assert found.pop("runtime") == runtime
    del found["seconds"]
    found["refused"].sort()  # replies come in any order
    return found


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
@ray_leaks
def test_ray_selects_and_learns_the_same_as_inline(tmp_path: Path) -> None:
    scenario = small(
        devices=3, fraction=0.7, settings={"train.warmup": 1, "ask.policy": "tail"}
    )
    before = dict(os.environ)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    inline = outcome(scenario, tmp_path / "inline", "inline")
    assert outcome(scenario, tmp_path / "ray", "ray") == inline
    # Ray adds names of its own when it is imported; ours are as they were.
    assert {name: os.environ.get(name) for name in before} == before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
def test_supernodes_select_and_learn_the_same_as_inline(tmp_path: Path) -> None:
    # Four rounds of one device each: both devices are drawn.
    scenario = small(devices=2, fraction=0.5, settings={"ask.groups": "cells"})
    inline = outcome(scenario, tmp_path / "inline", "inline")
    out = tmp_path / "superlink"
    assert outcome(scenario, out, "superlink") == inline
    logs = {path.stem: path.read_text() for path in (out / "logs").iterdir()}
    nodes = {"supernode-00000", "supernode-00001"}
    assert logs.keys() == {"superlink", "run"} | nodes
    assert all(f"/{name}/apps/" in logs[name] for name in nodes)  # homes of their own


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
@ray_leaks
def test_error_of_the_server_app_surfaces_from_ray(tmp_path: Path) -> None:
    server = ServerApp()

    @server.main()
    def main(_grid: Grid, context: Context) -> None:
        msg = f"{context.run_config['name']}: no such thing"
        raise DataError(msg)

    with pytest.raises(DataError, match="scenario: no such thing"):
        simulate(Apps(apps.client, server), small(2), tmp_path / "r", runtime="ray")


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
@ray_leaks
def test_worker_of_ray_that_dies_ends_the_run(tmp_path: Path) -> None:
    client = ClientApp()

    @client.train()
    def train(_message: Message, _context: Context) -> Message:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(UnavailableError, match=r"worker of Ray failed: .*died"):
        simulate(Apps(client, apps.server), small(2), tmp_path / "r", runtime="ray")


def submit(folder: Path, main: str) -> None:
    """Run a user's app on two SuperNodes; ``main`` is what its ServerApp does."""
    made = folder / f"app-{uuid4().hex[:8]}"  # two of a name cannot both be imported
    package = write_template(made)
    (made / package / "server_app.py").write_text(
        "from flwr.serverapp import ServerApp\n"
        "app = ServerApp()\n"
        "@app.main()\n"
        f"def main(grid, context):\n{main}"
    )
    settings = {"fleet.devices": 2, "ask.quota": 2, "ask.cycles": 3}
    program = open_program(str(made), settings)
    simulate(program.load_apps(), program.scenario, folder / "r", runtime="superlink")


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
def test_error_of_a_submitted_server_app_surfaces_from_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    main = """
    from fedask.common.errors import DataError
    raise DataError(f"{context.run_config['ask.cycles']} times no")
"""
    with pytest.raises(DataError, match="3 times no"):
        submit(tmp_path, main)


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
def test_supernode_that_dies_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    main = """
    import os, signal, threading
    from pathlib import Path
    from fedask.simulations.runtimes.processes import running
    for pid in running(Path(context.run_config["run.out"])):
        if b"partition-id=1 " in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    threading.Event().wait()
"""
    with pytest.raises(UnavailableError, match="supernode-00001 ended before the run"):
        submit(tmp_path, main)


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("taken", "name"), [(0, "superlink"), (2, "supernode-00001")])
def test_port_that_is_taken_is_told(
    taken: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = superlink.free_ports(3)
    monkeypatch.setattr(superlink, "free_ports", lambda _: ports)
    told = rf"(?s){name} ended at once; the last lines of .*address already in use"
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[taken]))
        other.listen()
        with pytest.raises(UnavailableError, match=told):
            simulate(OURS, small(2), tmp_path / "r", runtime="superlink")


@pytest.mark.parametrize("runtime", [ray.run, superlink.run])
def test_memory_store_is_refused_before_anything_starts(
    runtime: Runtime, tmp_path: Path
) -> None:
    out = str(tmp_path / "r")
    scenario = small(2, settings={"fleet.store": "memory", "run.out": out})
    with pytest.raises(ConfigError, match=r"fleet\.store = 'memory'"):
        runtime(OURS, scenario)
    assert not Path(out).exists()


def test_missing_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "ray" else find_spec(name),
    )
    with pytest.raises(ConfigError, match=r"pip install 'fedask\[simulation\]'"):
        ray.run(OURS, small(2))


def test_ray_of_somebody_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    with pytest.raises(ConfigError, match=r"call ray\.shutdown"):
        ray.run(OURS, small(2, settings={"run.out": str(tmp_path)}))


def test_ray_that_others_could_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down: list[bool] = []
    monkeypatch.setattr("ray.init", lambda **_: None)
    monkeypatch.setattr("ray.shutdown", lambda: down.append(True))
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.7")
    with pytest.raises(ConfigError, match=r"listens on 192\.0\.2\.7"):
        ray.run(OURS, small(2, settings={"run.out": str(tmp_path)}))
    assert down == [True]


def test_what_ray_has_started_before_an_interrupt_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def init(**_: object) -> None:
        command = [sys.executable, "-c", "import signal; signal.pause()"]
        started.append(subprocess.Popen(command))  # noqa: S603  (our own program)
        raise KeyboardInterrupt

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(KeyboardInterrupt):
        ray.run(OURS, small(2, settings={"run.out": str(tmp_path)}))
    assert [process.wait() for process in started] == [-signal.SIGKILL]


def test_resumed_run_ends_what_a_killed_one_has_left(tmp_path: Path) -> None:
    left = Fleet(tmp_path, tmp_path, os.environ)
    process = left.start(
        "left", [sys.executable, "-c", "import signal; signal.pause()"]
    )
    simulate(OURS, small(2), tmp_path, resume=True)
    assert process.wait() == -signal.SIGKILL
