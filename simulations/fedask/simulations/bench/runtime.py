"""Speed of the inline runtime: against Ray, against a bare loop, over fleet sizes.

Called by ``fedask bench runtime``. Rates are of steady state: from the end of the first
round to the end of the last, so that neither start-up nor loading counts on any side.
"""

import json
import logging
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from fedask.common.config import Scenario
from fedask.server.checkpoint import HISTORY
from fedask.simulations.bench import workload
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.run.simulation import simulate

_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Cost of one fleet size, in a process of its own.

    Parameters
    ----------
    us_per_device_round
        Microseconds per device and round in steady state.
    total_s
        Whole run, with loading and set-up.
    peak_mib
        Peak resident memory of the process, data set included.
    """

    devices: int
    us_per_device_round: float
    total_s: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Device-rounds per second of one run.

    Parameters
    ----------
    steady
        From the end of the first round to the end of the last.
    whole
        Of the whole run, with what the runtime must start first.
    """

    steady: float
    whole: float


def measure(scenario: Scenario, runtime: str) -> Rates:
    """Run a scenario and return its rates."""
    from fedask.simulations.run import apps  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.runtimes.runtime import Apps  # noqa: PLC0415  (slow, and not always needed)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        result = simulate(
            Apps(apps.client, apps.server), scenario, out, runtime=runtime
        )
        lines = (out / HISTORY).read_text(encoding="utf-8").splitlines()
    ends = [datetime.fromisoformat(json.loads(line)["at"]) for line in lines]
    seconds = (ends[-1] - ends[0]).total_seconds()
    devices = scenario.fleet.devices
    return Rates(
        steady=devices * (len(ends) - 1) / seconds,
        whole=devices * len(ends) / result["seconds"],
    )


def _bare_rounds_per_s(scenario: Scenario) -> float:
    """Do the same training steps in a plain PyTorch loop; return its rate.

    Every device loads the global weights, makes its optimiser, takes its step on the
    same number of samples, and is added to a weighted average: what anyone would write
    without a framework. There is no message, no queue, no check.
    """
    torch.set_num_threads(scenario.train.threads)
    task = task_of(scenario)
    model = task.build(scenario.seed)
    shares = shares_of(scenario)
    batches = []
    for rows in shares.rows:
        chosen = rows[: scenario.first_labels]
        inputs = task.to_inputs(shares.data.train_x[chosen])
        batches.append((inputs, torch.from_numpy(shares.data.train_y[chosen])))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    started = 0.0
    for number in range(scenario.train.rounds):
        total = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        examples = 0
        for inputs, targets in batches:
            model.load_state_dict(weights)
            optimiser = torch.optim.SGD(
                model.parameters(), lr=scenario.train.lr, momentum=0.9
            )
            for _ in range(scenario.train.steps):
                optimiser.zero_grad()
                loss = functional.cross_entropy(model(inputs), targets)
                torch.autograd.backward(loss)
                optimiser.step()
            examples += len(targets)
            for name, tensor in model.state_dict().items():
                total[name].add_(tensor, alpha=len(targets))
        weights = {name: tensor / examples for name, tensor in total.items()}
        if number == 0:
            started = time.perf_counter()
    seconds = time.perf_counter() - started
    return len(batches) * (scenario.train.rounds - 1) / seconds


def against_bare(devices: int, repeats: int = 5) -> tuple[float, float]:
    """Alternate the inline runtime and the bare loop; return the median pair of rates.

    Alternating, because the machine may be busier now than a second ago.
    """
    scenario = workload.scenario(devices, rounds=15, cycles=1, store="memory")
    pairs = [
        (measure(scenario, "inline").steady, _bare_rounds_per_s(scenario))
        for _ in range(repeats)
    ]
    return sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]


def against_ray(devices: int) -> dict[str, Rates]:
    """Run the same apps and scenario inline and on Ray: tiny model, one local step.

    Returns
    -------
    dict
        ``inline`` keeps labels in memory, as a simulation in one process may;
        ``inline_sqlite`` and ``ray`` in SQLite files, which is all that Ray's actors
        share.
    """
    memory = workload.scenario(devices, rounds=6, cycles=1, store="memory")
    files = workload.scenario(devices, rounds=6, cycles=1, store="sqlite")
    return {
        "inline": _median([measure(memory, "inline") for _ in range(3)]),
        "inline_sqlite": _median([measure(files, "inline") for _ in range(3)]),
        "ray": measure(files, "ray"),
    }


def _median(runs: Sequence[Rates]) -> Rates:
    return Rates(
        steady=median(run.steady for run in runs),
        whole=median(run.whole for run in runs),
    )


def growth(sizes: Sequence[int]) -> list[Growth]:
    """Measure each fleet size in a fresh process."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for devices in sizes:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            rows.append(pool.submit(_grow, devices).result())
    return rows


def _grow(devices: int) -> Growth:
    """Run one fleet size in this process, alone."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    scenario = workload.scenario(devices, rounds=3, cycles=2, store="memory")
    started = time.perf_counter()
    rate = measure(scenario, "inline").steady
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Growth(
        devices=devices,
        us_per_device_round=round(1e6 / rate, 1),
        total_s=round(time.perf_counter() - started, 2),
        peak_mib=round(peak / _KIB_PER_MIB, 1),
    )


def kib_per_device(rows: Sequence[Growth]) -> float:
    """Return the slope of peak memory over devices, in KiB (least squares)."""
    devices = np.array([row.devices for row in rows], dtype=np.float64)
    peaks = np.array([row.peak_mib for row in rows]) * _KIB_PER_MIB
    return round(float(np.polyfit(devices, peaks, 1)[0]), 2)


def model_kib() -> float:
    """Return the size of the benchmark's model, in KiB."""
    scenario = workload.scenario(100, rounds=1, cycles=1, store="memory")
    state = task_of(scenario).build(0).state_dict()
    size: int = sum(tensor.nbytes for tensor in state.values())
    return round(size / 1024, 1)
