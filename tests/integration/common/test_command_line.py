import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.simulations.program import environment, fedask, started

PROGRAM = """
import atexit, sys
atexit.register(lambda: print("modules:", *sys.modules))
from fedask.common.command_line import main
sys.argv[0] = "fedask"  # what the shell's completion is called by
main()
"""


def modules_of(
    *arguments: str | Path, extra: Mapping[str, str] | None = None
) -> set[str]:
    """Run the program to its end and return what it has imported."""
    done = subprocess.run(  # noqa: S603  (our own text)
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env=environment(extra),
    )
    return set(done.stdout.rpartition("modules:")[2].split())


def test_the_list_of_commands_imports_none_of_them() -> None:
    found = modules_of("--help")

    assert {"fedask.common.command_line"} <= found
    assert not {"torch", "flwr", "numpy", "rich"} & found
    assert not {m for m in found if m.startswith(("fedask.cl", "fedask.si"))}


def test_the_list_of_a_device_s_commands_imports_none_of_them() -> None:
    found = modules_of("device", "--help")

    assert not {"torch", "flwr", "numpy", "rich", "fedask.simulations"} & found


def test_what_the_shell_completes_imports_no_command() -> None:
    asked = {"_FEDASK_COMPLETE": "complete_bash", "COMP_WORDS": "fedask device "}

    found = modules_of(extra={**asked, "COMP_CWORD": "2"})

    assert "fedask.client.cli.group" in found
    assert not {"numpy", "fedask.client.cli.console", "fedask.simulations"} & found


def test_a_device_s_status_needs_neither_a_model_nor_simulations_nor_flower(
    tmp_path: Path,
) -> None:
    assert fedask("new", tmp_path / "app").returncode == 0
    task = "from fedask.common import Task\ntask = Task(classes=['a', 'b'])\n"
    (tmp_path / "app" / "app" / "task.py").write_text(task)
    (tmp_path / "note.txt").write_text("one")
    site = tmp_path / "ward"
    made = ("--app", tmp_path / "app", "--data", tmp_path / "note.txt")
    done = fedask("device", "init", site, *made, "--rights", "open")
    assert done.returncode == 0, done.stderr

    found = modules_of("device", "status", "--site", site)

    assert "fedask.client.cli.status" in found
    assert not {"torch", "flwr", "fedask.simulations", "fedask.server"} & found


def test_commands_are_listed_with_what_their_source_says() -> None:
    told = fedask("--help").stdout

    assert "simulate  Run one scenario: devices score, ask, learn;" in told
    assert "bench     Measure speed and memory" in told


def test_anybody_adds_a_command(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "def wave(name: str, often: int = 1) -> None:\n"
        '    """Wave to somebody.\n\n    At length."""\n'
        '    print("hello", name, "!" * often)\n'
    )
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fedask.commands]\nwave = theirs:wave\n")

    def run(*arguments: str) -> str:
        paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        return started(*arguments, extra={"PYTHONPATH": paths}).stdout

    assert "wave      Wave to somebody." in run("--help")
    assert run("wave", "ann", "--often", "2") == "hello ann !!\n"


def test_a_command_that_does_not_import_is_an_error_of_configuration(
    tmp_path: Path,
) -> None:
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fedask.commands]\nwave = gone:wave\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    done = started("wave", extra={"PYTHONPATH": paths})

    assert done.returncode == 2
    assert "fedask: ConfigError: cannot import 'gone'" in done.stderr
    assert started("--help", extra={"PYTHONPATH": paths}).returncode == 0


def test_an_unknown_command_is_told_with_the_nearest() -> None:
    done = fedask("devise")

    assert done.returncode == 2
    assert "Did you mean 'device'?" in done.stderr
