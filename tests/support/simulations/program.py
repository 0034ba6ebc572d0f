"""Runs the real ``fedask`` program in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.simulations.fork_server import run_fork

COMMAND = [sys.executable, "-m", "fedask.common.command_line"]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without the data sets, unless ``extra`` names them."""
    base = {k: v for k, v in os.environ.items() if k != "FEDASK_DATA"}
    return {**base, **(extra or {})}


def fedask(
    *arguments: str | Path, cwd: Path | None = None, timeout_s: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, in a fork, and return what it printed."""
    words = list(map(str, arguments))
    return run_fork(words, cwd or Path.cwd(), environment(), timeout_s)


def started(
    *arguments: str | Path,
    extra: Mapping[str, str] | None = None,
    timeout_s: float = 100,
) -> subprocess.CompletedProcess[str]:
    """Do the same with an interpreter of its own: with all that is set at its start."""
    return subprocess.run(  # noqa: S603  (our own program)
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=environment(extra),
    )
