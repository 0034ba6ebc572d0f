"""The wheel: alone, without the simulation extra, it runs a device; it is typed."""

import json
import os
import re
import signal
import site
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fedask.simulations.runtimes.processes import wait_until
from fedask.simulations.runtimes.superlink import free_ports

ROOT = Path(__file__).parents[3]
MOST_BYTES = 900_000
# Of the extra, and what was once in it: not to be missed.
ABSENT = ("ray", "tomli_w", "sklearn", "matplotlib", "pandas")
PROGRAM = """\
import fedask
from fedask.client.app import client_app
from fedask.common import Task
from fedask.common.config import Scenario
from fedask.server.app import server_app

scenario = Scenario().with_values({"ask.quota": 5})
task = Task(classes=["low", "high"], model="mlp", input_shape=(8,))
client, server = client_app(task), server_app(task)
reveal_type(fedask.__version__)
reveal_type(task.num_classes)
reveal_type(scenario.ask.quota)
Task(classes=2)
fedask.serverr
"""
# Of our types: those of torch take most of the time, and are read by make check.
MYPY = """\
[mypy]
strict = true
[mypy-torch.*]
follow_imports = skip
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)  # noqa: S603  (ours)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    place = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    pip += ["install", "--quiet", "--no-deps"]
    subprocess.run([*pip, wheel], check=True)  # noqa: S603  (ours)
    # Plain paths: the editable installation among them stays without effect.
    (place / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    for name in ABSENT:
        (place / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)\n")
    return folder / "bin" / "python"


def run(
    python: Path, cwd: Path, *words: str | Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603  (ours)
        [python, *words],
        cwd=cwd,
        env=plain(),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def plain() -> dict[str, str]:
    away = ("PYTHONPATH", "MYPYPATH", "FEDASK_DATA", "FEDASK_SITE")
    return {k: v for k, v in os.environ.items() if k not in away}


@pytest.fixture(scope="module")
def ward(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of a device with the installed program."""
    folder = tmp_path_factory.mktemp("ward")
    pool = np.random.default_rng(0).random((20, 8), dtype=np.float32)
    np.savez(folder / "pool.npz", x=pool)
    fedask = python.with_name("fedask")
    run(python, folder, fedask, "new", "my-app")
    words = ("--app", "my-app", "--data", "pool.npz", "--rights", "open")
    run(python, folder, fedask, "device", "init", "ward", *words)
    return folder


def test_a_wheel_is_small_typed_and_carries_its_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < MOST_BYTES
    for part in ("", "client/", "common/", "server/", "simulations/"):
        assert f"fedask/{part}py.typed" in names
    licences = [name.rpartition("/")[2] for name in names if "/licenses/" in name]
    assert {"LICENSE", "NOTICE", "CC-BY-4.0.txt", "BSD-3-Clause.txt"} <= {*licences}
    assert not [name for name in names if "test" in name.rpartition("/")[2]]


def test_fedask_is_that_of_the_wheel(python: Path, ward: Path) -> None:
    text = "import fedask, fedask.client as c; print(*c.__path__, fedask.__version__)"
    done = run(python, ward, "-c", text)
    place, version = done.stdout.split()
    assert str(python.parents[1]) in place
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_a_device_runs_without_the_simulation_extra(python: Path, ward: Path) -> None:
    fedask = python.with_name("fedask")
    told = run(python, ward, fedask, "device", "doctor", "--site", "ward").stdout
    assert "WRONG" not in told
    assert "20 samples" in told
    told = run(
        python, ward, fedask, "device", "status", "--site", "ward", "--json"
    ).stdout
    assert json.loads(told)


def test_a_device_serves_its_page(python: Path, ward: Path) -> None:
    (port,) = free_ports(1)
    fedask = python.with_name("fedask")
    words = ["device", "serve", "--site", "ward", "--port", str(port)]
    page = subprocess.Popen(  # noqa: S603  (ours)
        [fedask, *words], cwd=ward, env=plain(), stderr=subprocess.PIPE, text=True
    )

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        assert wait_until(answers, 60)
    finally:
        page.send_signal(signal.SIGTERM)
        _, told = page.communicate(timeout=30)
    assert page.returncode in {0, -signal.SIGTERM}  # uvicorn ends, then raises it again
    assert f"http://127.0.0.1:{port}/" in told


def test_a_program_of_ten_lines_sees_our_types(python: Path, ward: Path) -> None:
    (ward / "program.py").write_text(PROGRAM)
    (ward / "mypy.ini").write_text(MYPY)
    found = run(python, ward, "-m", "mypy", "program.py", code=1)
    lines = found.stdout.splitlines()
    assert 'program.py:10: note: Revealed type is "str"' in lines[0]
    assert 'program.py:11: note: Revealed type is "int"' in lines[1]
    assert 'program.py:12: note: Revealed type is "int"' in lines[2]
    assert 'incompatible type "int"; expected "Sequence[str]"' in lines[3]
    assert 'Module has no attribute "serverr"' in lines[4]
    assert lines[5].startswith("Found 2 errors in 1 file")
