"""One run of one scenario on one runtime. Called by the commands and the benchmarks."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedask.common.arrays import model_version
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, StoreError
from fedask.server.checkpoint import CHECKPOINT, HISTORY, MODEL, SERVER, replace_file
from fedask.simulations.fleet.devices import asked as asked_on_disk
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.run.baseline import baseline_accuracy
from fedask.simulations.run.checks import check_scenario, evaluation_of
from fedask.simulations.run.diversity import diversities
from fedask.simulations.run.doubts import doubts_of
from fedask.simulations.runtimes.processes import end
from fedask.simulations.runtimes.runtime import Apps, Asked, make_runtime

__all__ = ["simulate"]

_RESULT = "result.json"


def simulate(
    apps: Apps,
    scenario: Scenario,
    out: Path,
    *,
    runtime: str = "inline",
    resume: bool = False,
) -> dict[str, Any]:
    """Run a scenario to the end.

    Parameters
    ----------
    scenario
        How; ``run.out``, ``run.resume`` and ``run.evaluate`` are set here.
    out
        Folder for everything the run writes; made here, must not exist before unless
        the run resumes.
    runtime
        ``inline``, ``ray`` or ``superlink``.
    resume
        Continue what was interrupted in ``out``; a finished run is returned as it is.

    Returns
    -------
    dict
        What ``result.json`` holds.

    Raises
    ------
    ConfigError
        If the folder exists, or the scenario cannot work; nothing is written then.
    DataError
        If the data are missing or do not fit.
    UnavailableError
        If processes that a killed run left in the folder cannot be stopped.
    """
    run = make_runtime(runtime)
    result = out / _RESULT
    if resume and result.exists():
        finished: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return finished
    check_scenario(scenario, task_of(scenario))
    _prepare_folder(out, resume=resume)
    end(out)  # what a killed run has left would go on writing here
    durable = scenario.fleet.store == "sqlite"
    resuming = resume and durable and (out / CHECKPOINT).exists()
    values = {
        "run.out": str(out.resolve()),
        "run.resume": resuming,
        "run.evaluate": evaluation_of(scenario),
    }
    if resume and not resuming:
        # Killed before the first checkpoint: what devices did is done again.
        shutil.rmtree(out / "devices", ignore_errors=True)
        (out / HISTORY).unlink(missing_ok=True)
    scenario = scenario.with_values(values)
    started = time.perf_counter()
    asked = run(apps, scenario)
    if resuming:  # with no round left to do, not every device was opened again
        asked = asked_on_disk(scenario)
    seconds = time.perf_counter() - started
    truth = shares_of(scenario).data.test_y
    server = json.loads((out / SERVER).read_text(encoding="utf-8"))
    outcome = {
        **server,
        "name": scenario.name,
        "runtime": runtime,
        "devices": scenario.fleet.devices,
        "diversity": diversities(asked, scenario),
        "chance": float(np.bincount(truth).max() / len(truth)),
        "baseline": baseline_accuracy(asked, server["ledger"]["answered"], scenario),
        "digest": {"selected": digest(asked), "model": _file_digest(out / MODEL)},
        "seconds": round(seconds, 3),
    }
    _write_asked(out / "asked.csv", asked)
    outcome["doubts"] = doubts_of(outcome)
    replace_file(result, (json.dumps(outcome, indent=1) + "\n").encode())
    return outcome


def _prepare_folder(out: Path, *, resume: bool) -> None:
    """Make the folder of a run.

    Raises
    ------
    ConfigError
        If it exists already and the run does not resume.
    """
    if out.exists() and not resume:
        raise ConfigError(
            f"the folder {out} exists: choose another --out, add --resume to continue "
            "an interrupted run, or --overwrite to replace it"
        )
    try:
        out.mkdir(parents=True, exist_ok=resume)
    except OSError as err:
        raise StoreError(f"cannot make the folder {out}: {err}") from err


def digest(asked: Asked) -> str:
    """Hash who was asked what and when: equal for equal selections."""
    lines = [f"{d},{c},{u}" for d in sorted(asked) for c, u in asked[d]]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _file_digest(path: Path) -> str:
    """Hash the arrays of an ``.npz`` file, in the order of their names."""
    with np.load(path, allow_pickle=False) as file:
        arrays: Mapping[str, Any] = {name: file[name] for name in file.files}
    return str(model_version(arrays))


def _write_asked(path: Path, asked: Asked) -> None:
    """Write which samples were asked: a simulation may say so, a device never does."""
    lines = ["device,cycle,uid"]
    lines += [f"{d},{c},{u}" for d in sorted(asked) for c, u in asked[d]]
    replace_file(path, ("\n".join(lines) + "\n").encode())
