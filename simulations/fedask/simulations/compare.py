"""Several policies over the same seeds: what each makes of the labels it buys.

Every policy gets the same data, partition, initial model, trainer and budget; runs are
spread over processes. Called by the ``compare`` command and the demo.
"""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedask.common.config import Scenario
from fedask.simulations.checks import check_choice, check_scenario
from fedask.simulations.programs import Program
from fedask.simulations.runtimes.processes import interruptible
from fedask.simulations.simulate import simulate
from fedask.simulations.tasks import task_of

_POLL_S = 0.2  # how often the display is refreshed


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a comparison."""

    policy: str
    seed: int
    out: Path

    @property
    def name(self) -> str:
        """Return what people see."""
        return f"{self.policy}, seed {self.seed}"


@dataclass(slots=True)
class Found:
    """What a comparison has found so far.

    Parameters
    ----------
    results
        Finished runs by (policy, seed).
    partial
        Whether it was interrupted.
    """

    results: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    partial: bool = False
    seconds: float = 0.0


def plan_jobs(policies: Sequence[str], seeds: Sequence[int], out: Path) -> list[Job]:
    """List the runs: all policies of a seed before the next seed.

    A comparison that is interrupted then holds whole seeds.
    """
    return [
        Job(policy, seed, out / "runs" / policy / f"seed-{seed}")
        for seed in seeds
        for policy in policies
    ]


def check_jobs(program: Program, jobs: Sequence[Job]) -> None:
    """Find what would stop a run, before the first one starts.

    Raises
    ------
    FedaskError
        The same as the run would raise.
    """
    for job in jobs:
        check_choice(scenario_of(program, job), 2)
    check_scenario(program.scenario, task_of(program.scenario))


def scenario_of(program: Program, job: Job) -> Scenario:
    """Return the scenario of one run."""
    return program.scenario.with_values({"ask.policy": job.policy, "seed": job.seed})


@interruptible()
def run_jobs(
    program: Program,
    jobs: Sequence[Job],
    *,
    runtime: str,
    workers: int,
    resume: bool,
    tick: Callable[[], None],
) -> Found:
    """Run everything; on Ctrl-C return what is finished.

    Parameters
    ----------
    workers
        Processes; 1 = this one alone (needed by runtimes that start processes).
    tick
        Called several times a second, to refresh a display.

    Raises
    ------
    FedaskError
        The first failure of a run; the others are stopped.
    """
    started = time.monotonic()
    found = Found()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_worker)
    try:
        waiting: dict[Future[dict[str, Any]], Job] = {
            pool.submit(
                run_job, program.path, scenario_of(program, job), job, runtime, resume
            ): job
            for job in jobs
        }
        while waiting:
            done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                job = waiting.pop(future)
                found.results[job.policy, job.seed] = future.result()
            tick()
    except KeyboardInterrupt:
        found.partial = True
    finally:
        _stop(pool)
    found.seconds = time.monotonic() - started
    return found


def run_job(
    path: Path,
    scenario: Scenario,
    job: Job,
    runtime: str,
    resume: bool,
) -> dict[str, Any]:
    """Do one run in a worker process."""
    apps = Program(path, scenario).load_apps()
    resume = resume and job.out.exists()
    try:
        return simulate(apps, scenario, job.out, runtime=runtime, resume=resume)
    except SystemExit as stop:  # by SIGTERM, which runtimes with processes handle
        os._exit(int(stop.code or 0))  # the pool would go on with the next run


def _worker() -> None:
    """Set up a worker: quiet, and deaf to the Ctrl-C that its parent handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("flwr", "fedask"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once; their runs can be resumed or done again."""
    workers = list((pool._processes or {}).values())  # noqa: SLF001
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def default_workers(jobs: int) -> int:
    """Return how many processes to use: one per core, none idle."""
    return max(1, min(jobs, os.cpu_count() or 1))
