"""Runs ``python -m tests.benchmarks`` in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


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
