"""The three runtimes agree bit for bit, leave nothing behind, and tell what failed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, DataError
from fedask.simulations import apps
from fedask.simulations.programs import open_program
from fedask.simulations.runtimes import ray, superlink
from fedask.simulations.runtimes.runtime import Apps, Runtime
from fedask.simulations.simulate import simulate
from fedask.simulations.template import write_app as write_template

OURS = Apps(apps.client, apps.server)
GONE_TIMEOUT_S = 20.0

# Ray closes neither its logs nor waits for its processes; the runtime does the latter.
ray_leaks = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed"
)


@pytest.fixture
def left_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return a function that waits for what this test started, and lists what stays."""
    token = f"FEDASK_TEST={uuid4().hex}"
    monkeypatch.setenv(*token.split("="))
    return lambda: wait_until_gone(token.encode())


def wait_until_gone(token: bytes) -> list[str]:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while (left := marked(token)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def marked(token: bytes) -> list[str]:
    """List the processes that have ``token`` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes()
                found.append(f"{folder.name} {command[:200]!r}")
        except OSError:
            continue
    return found


def small(devices: int, cycles: int, **values: object) -> Scenario:
    settings = {
        "fleet.devices": devices,
        "ask.policy": "global-cut",
        "ask.batcher": "cluster",
        "ask.quota": 2 * devices,
        "ask.cycles": cycles,
        "train.rounds": 2,
        "train.steps": 3,
    }
    return Scenario.from_flat(settings | values)


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_ray
@ray_leaks
def test_ray_selects_and_learns_the_same_as_inline(
    tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    scenario = small(devices=3, cycles=3)
    before = dict(os.environ)
    handler = signal.getsignal(signal.SIGTERM)
    inline = simulate(OURS, scenario, tmp_path / "inline")
    on_ray = simulate(OURS, scenario, tmp_path / "ray", runtime="ray")
    assert on_ray["digest"] == inline["digest"]
    assert on_ray["refused"] == []
    assert left_over() == []
    # Ray adds names of its own when it is imported; ours are as they were.
    assert {name: os.environ.get(name) for name in before} == before
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_supernodes_select_and_learn_the_same_as_inline(
    tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    scenario = small(devices=2, cycles=2)
    inline = simulate(OURS, scenario, tmp_path / "inline")
    out = tmp_path / "superlink"
    on_nodes = simulate(OURS, scenario, out, runtime="superlink")
    assert on_nodes["digest"] == inline["digest"]
    assert on_nodes["refused"] == []
    assert left_over() == []
    logs = {path.name.partition("-")[0] for path in (out / "logs").iterdir()}
    assert logs == {"superlink.log", "supernode", "run.log"}


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_ray
@ray_leaks
def test_error_of_the_server_app_surfaces_from_ray(
    tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    server = ServerApp()

    @server.main()
    def main(_grid: Grid, context: Context) -> None:
        msg = f"{context.run_config['name']}: no such thing"
        raise DataError(msg)

    with pytest.raises(DataError, match="scenario: no such thing"):
        simulate(Apps(apps.client, server), small(2, 2), tmp_path / "r", runtime="ray")
    assert left_over() == []


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_error_of_a_submitted_server_app_surfaces_from_its_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left_over: Callable[[], list[str]],
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    package = write_template(tmp_path / "broken-app")
    (tmp_path / "broken-app" / package / "server_app.py").write_text(
        "from flwr.serverapp import ServerApp\n"
        "from fedask.common.errors import DataError\n"
        "app = ServerApp()\n"
        "@app.main()\n"
        "def main(grid, context):\n"
        "    raise DataError(f\"{context.run_config['ask.cycles']} times no\")\n"
    )
    settings = {"fleet.devices": 2, "ask.quota": 2, "ask.cycles": 3}
    program = open_program(str(tmp_path / "broken-app"), settings)
    with pytest.raises(DataError, match="3 times no"):
        simulate(
            program.load_apps(), program.scenario, tmp_path / "r", runtime="superlink"
        )
    assert left_over() == []


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sigterm_takes_the_supernodes_along(
    tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    command = [
        str(Path(sys.executable).with_name("fedask")),
        "simulate",
        "digits",
        "--runtime=superlink",
    ]
    command += ["--out", str(tmp_path / "r"), "--set", "fleet.devices=2"]
    command += ["--set", "ask.quota=4"]
    with subprocess.Popen(command) as process:  # noqa: S603
        running = tmp_path / "r" / "logs" / "run.log"
        deadline = time.monotonic() + 120
        while not running.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert running.exists()
    assert left_over() == []


@pytest.mark.parametrize("runtime", [ray.run, superlink.run])
def test_memory_store_is_refused_before_anything_starts(
    runtime: Runtime, tmp_path: Path
) -> None:
    out = str(tmp_path / "r")
    scenario = small(2, 2, **{"fleet.store": "memory", "run.out": out})
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
        ray.run(OURS, small(2, 2))
