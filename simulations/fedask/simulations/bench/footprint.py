"""Start time and memory of a device's processes. Called by ``fedask bench footprint``.

Each is a Python of its own that imports what the process imports, and says how long
that took and how much memory it then had; the least of a few, as the machine is shared.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

from fedask.common.errors import UnavailableError

_REPEATS = 5
_SCRIPT = """
import json, sys, time
begun = time.perf_counter()
for name in sys.argv[1:]:
    __import__(name)
took = time.perf_counter() - begun
rows = open("/proc/self/status").read().split("VmRSS:")
print(json.dumps([took, int(rows[1].split()[0])]))
"""
# What runs, and what it imports before the first sample.
_PROCESSES = {
    "python alone": ("json",),
    "flwr ClientApp": ("flwr.clientapp",),
    "fedask ClientApp": ("flwr.clientapp", "fedask.client.app"),
    "fedask device status": ("fedask.client.cli.status",),
    "labelling page": ("fedask.client.site.device_page",),
    "labelling service": ("fedask.client.site.device_service",),
    "flwr ClientApp and torch": ("flwr.clientapp", "torch"),
    "fedask device that trains": (
        "flwr.clientapp",
        "fedask.client.app",
        "fedask.client.site.deployment",
        "fedask.client.learning.training.learner",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Start time and memory of one process.

    Parameters
    ----------
    start_ms
        From a running Python to all that it imports.
    """

    process: str
    start_ms: float
    rss_mib: float


def measure() -> list[Footprint]:
    """Measure every process, in turns.

    Raises
    ------
    UnavailableError
        If memory cannot be read here (Linux only).
    """
    if sys.platform != "linux":
        raise UnavailableError("the memory of a process is read from /proc: Linux only")
    runs: dict[str, list[tuple[float, int]]] = {name: [] for name in _PROCESSES}
    for _ in range(_REPEATS):
        for name, modules in _PROCESSES.items():
            runs[name].append(_run(modules))
    return [
        Footprint(
            process=name,
            start_ms=round(1e3 * min(took for took, _ in each), 1),
            rss_mib=round(min(kib for _, kib in each) / 1024, 1),
        )
        for name, each in runs.items()
    ]


def _run(modules: tuple[str, ...]) -> tuple[float, int]:
    done = subprocess.run(  # noqa: S603  (our own text)
        [sys.executable, "-c", _SCRIPT, *modules],
        capture_output=True,
        check=True,
        text=True,
    )
    took, kib = json.loads(done.stdout)
    return float(took), int(kib)
