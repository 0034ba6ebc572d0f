"""Runs ``python -m tests.benchmarks``: here, or in a process of its own."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]


def measured(*arguments: str) -> Result:
    """Run one benchmark in this process and return what it printed."""
    return CliRunner().invoke(import_module("tests.benchmarks.__main__").app, arguments)


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one benchmark to its end and return what it printed."""
    return subprocess.run(  # noqa: S603  (our own program)
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=ROOT,
    )
