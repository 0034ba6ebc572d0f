"""The ServerApp: ``app = server_app(task)``. Wires a scenario to Flower's loop."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from fedask.common.arrays import Arrays
from fedask.common.clock import Clock, SystemClock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.manifest import Manifest
from fedask.common.policies.policy import make_policy
from fedask.common.registry import declared, resolve
from fedask.common.task import Task
from fedask.common.user_code import user_code
from fedask.common.weights import to_record
from fedask.server.checkpoint import Checkpoint, RunFolder, inner_state, restore_inner
from fedask.server.failures import failed
from fedask.server.figures import Labels, cohen_kappa, cycle_figures, mean_score
from fedask.server.inner_strategy import make_inner
from fedask.server.progress import RunProgress
from fedask.server.stopping import counts_uncertainty, make_criteria, reason_to_stop
from fedask.server.strategy import AskStrategy

__all__ = ["server_app"]

logger = logging.getLogger(__name__)

# Figures for the history, and perhaps _PREDICTIONS: (n,) classes of a fixed set.
Evaluate = Callable[[Task, Scenario, Arrays], Mapping[str, float | Labels]]
_PREDICTIONS = "predictions"

_EVALUATIONS = "fedask.evaluations"  # the group of entry points


def server_app(
    task: Task | Callable[[Scenario], Task],
    *,
    defaults: Mapping[str, Any] | None = None,
    strategy: Strategy | None = None,
) -> ServerApp:
    """Make the ServerApp of a task.

    Parameters
    ----------
    task
        What is learned, or a function of the scenario that tells.
    defaults
        Run configuration (dotted keys) below what Flower hands over.
    strategy
        The inner strategy; by default the one that ``strategy.name`` names.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        flat = {**(defaults or {}), **context.run_config}
        scenario = Scenario.of_run(flat, context.run_id)
        with user_code("the function that gives the task", task):
            this_task = task if isinstance(task, Task) else task(scenario)
        inner = strategy or make_inner(scenario.strategy, scenario.fleet.devices)
        Coordinator(this_task, scenario, inner, SystemClock()).run(grid)

    return app


class _EndOfRun(Exception):  # noqa: N818  (nothing is wrong)
    """Leaves Flower's loop, which has no other way out, before its last round."""


class Coordinator:
    """One run: strategy, evaluation, files.

    Parameters
    ----------
    inner
        The Flower strategy that aggregates.
    clock
        Dates the lines of the history.
    pause
        Waits so many seconds between cycles.

    Raises
    ------
    ConfigError
        If the evaluation or a stopping criterion is unknown or misses something, or a
        resumed run has other settings.
    """

    def __init__(
        self,
        task: Task,
        scenario: Scenario,
        inner: Strategy,
        clock: Clock,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._task = task
        self._clock = clock
        self._pause = pause
        self._scenario = scenario
        self._strategy = AskStrategy(inner, scenario, task.num_classes)
        policy = make_policy(scenario.ask, task.num_classes)
        self._criteria = make_criteria(scenario, policy)
        self._groups = policy.traits.groups
        self._uncertain = counts_uncertainty(scenario.ask, policy)
        self._rows: list[dict[str, Any]] = []
        self._evaluate: Evaluate | None = None
        self._predictions: Labels | None = None
        self._arrays: Arrays = {}
        self._manifest = Manifest(())
        if scenario.run.evaluate:
            table = declared(_EVALUATIONS)
            self._evaluate = resolve("evaluation", scenario.run.evaluate, table)
        self._folder: RunFolder | None = None
        if scenario.run.out:
            self._folder = RunFolder(
                Path(scenario.run.out).expanduser(), fingerprint(scenario)
            )

    def run(self, grid: Grid) -> None:
        """Run to the last cycle, or until a stopping criterion holds.

        From the start or from a checkpoint; one that stopped is only written out.
        """
        from fedask.common.module_arrays import read_arrays, read_manifest  # noqa: PLC0415  (imports torch)

        model = self._task.build(self._scenario.seed)
        initial, self._manifest = read_arrays(model), read_manifest(model)
        self._strategy.begin(to_record(initial), self._manifest)
        self._arrays = initial
        self._resume()
        if self._stopped is None:
            with suppress(_EndOfRun):
                self._strategy.start(
                    grid,
                    to_record(dict(self._arrays)),
                    num_rounds=self._strategy.num_rounds,
                    timeout=self._scenario.run.round_timeout_s,
                    evaluate_fn=self._after_round,
                )
        account = self.account()
        if self._folder is not None:
            named = self._manifest.with_aliases(self._arrays)
            self._folder.finish(named, account)
        if account["failed"]:
            log(logging.WARNING, "%s", account["failed"])

    def _resume(self) -> None:
        folder, run = self._folder, self._scenario.run
        if folder is None:
            return
        if not run.resume:
            folder.begin()
            return
        if self._scenario.fleet.store != "sqlite":
            raise ConfigError(
                "run.resume needs fleet.store = 'sqlite': memory forgets the labels"
            )
        checkpoint = folder.load()
        if checkpoint is None:
            return
        self._arrays = checkpoint.arrays
        self._rows = checkpoint.rows
        self._predictions = checkpoint.predictions
        self._strategy.progress = RunProgress.from_state(checkpoint.progress)
        restore_inner(self._strategy.inner, checkpoint.inner)

    def _after_round(
        self, server_round: int, arrays: ArrayRecord
    ) -> MetricRecord | None:
        """Note the round; at the end of a cycle measure, and decide; save.

        Called by Flower.

        What it returns Flower puts into its log and its result.
        """
        if server_round == 0:
            return None
        progress = self._strategy.progress
        self._arrays = {name: array.numpy() for name, array in arrays.items()}
        cycle, step = self._scenario.train.position(progress.rounds)
        row: dict[str, Any] = {
            "round": progress.rounds,
            "cycle": cycle,
            "labels": progress.labelled,
            "refused": sum(
                number == progress.rounds for number, *_ in progress.refused
            ),
        }
        if cycle and step == self._scenario.train.rounds - 1:
            self._close_cycle(row)
        self._rows.append(row)
        if self._folder is not None:
            self._save(row)
        if "stopped" in row:
            raise _EndOfRun
        self._wait(progress.rounds, step)
        shown = ("labels", "accuracy", "loss")
        return MetricRecord({key: row[key] for key in shown if key in row})

    def _wait(self, rounds: int, step: int) -> None:
        """Leave people time between two cycles; all is saved by then."""
        pause_s, ends = self._scenario.run.pause_s, self._scenario.train.rounds - 1
        if pause_s and step == ends and rounds < self._scenario.rounds:
            self._pause(pause_s)

    def _close_cycle(self, row: dict[str, Any]) -> None:
        """Add to the row what is known at the end of a cycle, and why the run ends."""
        if self._evaluate is not None:
            found = self._measure(self._evaluate)
            predicted = found.pop(_PREDICTIONS, None)
            row |= found
            self._strategy.progress.accuracy = _accuracy(row)
            if predicted is not None:
                row["kappa"] = self._agreement(predicted)
        if self._uncertain:
            grid = self._strategy.grid
            rows = None if grid is None else grid[: self._groups]
            row["uncertainty"] = None if rows is None else mean_score(rows)
        past = [each for each in self._rows if "spent" in each]
        capacity = self._scenario.ask.capacity
        row |= cycle_figures(row, past, self._strategy.progress, capacity)
        if self._strategy.num_rounds > 0:
            reason = reason_to_stop(self._criteria, [*past, row])
            if reason:
                logger.info("stopped after cycle %d: %s", row["cycle"], reason)
                row["stopped"] = reason
                self._strategy.forgo()

    def _measure(self, evaluate: Evaluate) -> dict[str, Any]:
        """Call the evaluation, which may be the user's own; its figures are numbers."""
        name = self._scenario.run.evaluate
        with user_code(f"run.evaluate, {name!r},", evaluate):
            named = self._manifest.with_aliases(self._arrays)
            given = evaluate(self._task, self._scenario, named)
            return {
                key: np.asarray(value) if key == _PREDICTIONS else float(value)
                for key, value in given.items()
            }

    def _agreement(self, predicted: Labels) -> float | None:
        """Return kappa between this cycle's model and the last one's, if there is one.

        Raises
        ------
        ConfigError
            If the evaluation does not predict the same samples every time.
        """
        before, self._predictions = self._predictions, predicted
        if before is None:
            return None
        if before.shape != predicted.shape:
            raise ConfigError(
                f"run.evaluate returned {predicted.shape} predictions after "
                f"{before.shape}: they must be of a fixed set"
            )
        return cohen_kappa(before, predicted)

    @property
    def _stopped(self) -> dict[str, Any] | None:
        """Cycle and reason of an early end, from the history alone."""
        last = self._rows[-1] if self._rows else {}
        if "stopped" not in last:
            return None
        return {"cycle": last["cycle"], "reason": last["stopped"]}

    def _save(self, row: dict[str, Any]) -> None:
        if self._folder is None:
            return
        # The time stands in the history alone: results must not depend on it.
        self._folder.append({**row, "at": self._clock.now().isoformat()})
        if self._scenario.fleet.store == "sqlite":
            self._folder.save(
                Checkpoint(
                    arrays=self._arrays,
                    progress=self._strategy.progress.to_state(),
                    rows=self._rows,
                    inner=inner_state(self._strategy.inner),
                    predictions=self._predictions,
                )
            )

    def account(self) -> dict[str, Any]:
        """Return the server's account of the run: sums and counts only."""
        progress = self._strategy.progress
        found = {
            "schema": 1,
            "policy": self._scenario.ask.policy,
            "seed": self._scenario.seed,
            "classes": list(self._task.classes),
            "rows": self._rows,
            "stopped": self._stopped,
            "ledger": progress.ledger.summary(),
            "labels_by_device": {
                device: list(counts)
                for device, counts in sorted(progress.classes.items())
            },
            "refused": [list(entry) for entry in progress.refused],
            "wire": progress.wire.to_state(),
        }
        return {**found, "failed": failed(found)}


def _accuracy(row: Mapping[str, Any]) -> float | None:
    """Return the accuracy that was measured, if it was.

    Raises
    ------
    ConfigError
        If it is no share: figures, stopping and devices could do nothing with it.
    """
    if "accuracy" not in row:
        return None
    accuracy = float(row["accuracy"])
    if not 0.0 <= accuracy <= 1.0:  # NaN fails it too
        raise ConfigError(
            f"run.evaluate returned accuracy = {accuracy:g}: it must be a share of "
            "the samples, from 0 to 1"
        )
    return accuracy


def fingerprint(scenario: Scenario) -> dict[str, Any]:
    """Return the settings that decide a run; where it writes does not."""
    return {k: v for k, v in scenario.to_flat().items() if not k.startswith("run.")}
