"""The runs of a comparison: every arm with every seed, spread over processes.

Whatever an arm does not set is the same for all: data, partition, initial model,
trainer, budget. Runs are spread over processes. Called by the ``compare`` command.
"""

import json
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
from fedask.common.errors import ConfigError, FedaskError, StoreError
from fedask.server.app import fingerprint
from fedask.server.checkpoint import replace_file
from fedask.simulations.comparison.arms import Arm
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.run.checks import check_choice, check_scenario
from fedask.simulations.run.programs import Program
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes.processes import interruptible

ARMS = "arms.json"  # what every arm was when its runs began
_POLL_S = 0.2  # how often the display is refreshed


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a comparison."""

    arm: Arm
    seed: int
    out: Path

    @property
    def name(self) -> str:
        """Return what people see."""
        return f"{self.arm.name}, seed {self.seed}"


@dataclass(slots=True)
class JobResult:
    """What a comparison has found so far.

    Parameters
    ----------
    results
        Finished runs by (name of the arm, seed).
    """

    results: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    partial: bool = False
    seconds: float = 0.0


def plan_jobs(arms: Sequence[Arm], seeds: Sequence[int], out: Path) -> list[Job]:
    """List the runs: all arms of a seed before the next seed.

    A comparison that is interrupted then holds whole seeds.
    """
    return [
        Job(arm, seed, out / "runs" / arm.folder / f"seed-{seed}")
        for seed in seeds
        for arm in arms
    ]


def check_jobs(program: Program, jobs: Sequence[Job]) -> None:
    """Find what would stop a run, before the first one starts.

    Raises
    ------
    FedaskError
        The same as the run would raise, after the name of the arm.
    ConfigError
        If two arms have different classes.
    """
    first: dict[str, Sequence[str]] = {}
    for job in jobs:
        scenario = _scenario_of(program, job)
        try:
            check_choice(scenario, 2)
            if job.arm.name not in first:
                task = task_of(scenario)
                check_scenario(scenario, task)
                first[job.arm.name] = task.classes
        except FedaskError as err:
            raise type(err)(f"arm {job.arm.name!r}: {err}") from err
        classes = first[jobs[0].arm.name]
        if first[job.arm.name] != classes:
            raise ConfigError(
                f"the arms {jobs[0].arm.name!r} and {job.arm.name!r} have different "
                "classes: their accuracies cannot be compared"
            )


def _scenario_of(program: Program, job: Job) -> Scenario:
    """Return the scenario of one run."""
    return job.arm.applied(program.scenario).with_values({"seed": job.seed})


def keep_arms(program: Program, arms: Sequence[Arm], out: Path) -> None:
    """Write the settings of every arm to a file; refuse an arm whose settings changed.

    A finished run is taken as it is when a comparison resumes: under the same name it
    must have had the same settings. Arms may be added.

    Raises
    ------
    ConfigError
        If an arm of that name had other settings.
    StoreError
        If the file is damaged, or cannot be written.
    """
    path = out / ARMS
    kept = _read_arms(path)
    for arm in arms:
        settings = fingerprint(arm.applied(program.scenario))
        del settings["seed"]
        before = kept.setdefault(arm.name, {"folder": arm.folder, "settings": settings})
        was = before["settings"]
        changed = sorted(
            key for key in {*was, *settings} if was.get(key) != settings.get(key)
        )
        if changed:
            raise ConfigError(
                f"cannot resume in {out}: the arm {arm.name!r} had other settings "
                f"there ({', '.join(changed[:5])}); choose another --out, or "
                "--overwrite to begin anew"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"cannot make the folder {out}: {err}") from err
    replace_file(path, (json.dumps(kept, indent=1) + "\n").encode())


def _read_arms(path: Path) -> dict[str, Any]:
    """Return what ``keep_arms`` wrote, {} if there is no file."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # Looked up here, so that a file of another shape is found out here too.
        _ = [arm["settings"].keys() for arm in kept.values()]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as err:
        raise StoreError(
            f"{path} is damaged ({err}): choose another --out, or --overwrite"
        ) from err
    return kept


@interruptible()
def run_jobs(
    program: Program,
    jobs: Sequence[Job],
    *,
    runtime: str,
    workers: int,
    resume: bool,
    tick: Callable[[], None],
) -> JobResult:
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
    found = JobResult()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_worker)
    try:
        waiting: dict[Future[dict[str, Any]], Job] = {
            pool.submit(
                _run_job, program.path, _scenario_of(program, job), job, runtime, resume
            ): job
            for job in jobs
        }
        while waiting:
            done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                job = waiting.pop(future)
                found.results[job.arm.name, job.seed] = future.result()
            tick()
    except KeyboardInterrupt:
        found.partial = True
    finally:
        _stop(pool)
    found.seconds = time.monotonic() - started
    return found


def _run_job(
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
    """Set up a worker: it logs errors only, and its parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("flwr", "fedask"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once; their runs can be resumed or done again."""
    workers = list((pool._processes or {}).values())  # noqa: SLF001  (there is no public way)
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def default_workers(jobs: int) -> int:
    """Return how many processes to use: one per core, none idle."""
    return max(1, min(jobs, os.cpu_count() or 1))
