"""Whether models that are hard to carry give the same bits on every runtime.

Called by ``python -m tests.benchmarks zoo``.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.client.zoo import TELLING, ZOO, scenario

from fedask.common.config import Scenario
from fedask.simulations.run import apps
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes.runtime import Apps

_OURS = Apps(apps.client, apps.server)
_COMPILED = "compiled"  # on inline alone: it takes a compiler of C++


def measure(models: Sequence[str], *, superlink: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each model.

    Parameters
    ----------
    models
        Names of ``zoo.ZOO``, or ``compiled``.
    superlink
        Compare inline with a SuperLink (two devices, four messages), else with Ray.
    """
    root = str(Path(__file__).parents[2])
    paths = [root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if root not in sys.path:
        sys.path.insert(0, root)
    for model in models:
        if model == _COMPILED:
            run, runtimes = scenario(model, devices=3), ("inline", "inline")
        elif superlink:
            run, runtimes = scenario(model, devices=2), ("inline", "superlink")
        else:
            run, runtimes = scenario(model, rounds=2), ("inline", "ray")
        begun = time.perf_counter()
        one, other = (_outcome(run, runtime) for runtime in runtimes)
        yield {
            "model": model,
            "runtimes": " = ".join(runtimes),
            "digest": one["digest"]["model"],
            "other": other["digest"]["model"],
            "accuracy": one["rows"][-1]["accuracy"],
            "refused": len(one["refused"]),
            "same": one == other,
            "seconds": round(time.perf_counter() - begun, 1),
        }


def chosen(only: str, *, superlink: bool) -> list[str]:
    """Return the models to measure."""
    names = TELLING if superlink else (*ZOO, _COMPILED)
    return [name for name in names if only.lower() in name.lower()]


def _outcome(run: Scenario, runtime: str) -> dict[str, Any]:
    """Run, and return all that must be the same on every runtime."""
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(_OURS, run, Path(folder) / "out", runtime=runtime)
    for key in ("runtime", "seconds"):
        del found[key]
    found["refused"].sort()
    return found
