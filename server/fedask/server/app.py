"""The ServerApp: ``app = server_app(task)``. Wires a scenario to Flower's loop."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from fedask.common.clock import Clock, SystemClock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.registry import resolve
from fedask.common.task import Task
from fedask.common.weights import Arrays, to_record
from fedask.server.checkpoint import Checkpoint, RunFolder, inner_state, restore_inner
from fedask.server.inner import make_inner
from fedask.server.progress import Progress
from fedask.server.strategy import AskStrategy

Evaluate = Callable[[Task, Scenario, Arrays], Mapping[str, float]]

EVALUATIONS = {"held-out": "fedask.simulations.evaluation:held_out"}


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
        this_task = task if isinstance(task, Task) else task(scenario)
        inner = strategy or make_inner(scenario.strategy, scenario.fleet.devices)
        Coordinator(this_task, scenario, inner, SystemClock()).run(grid)

    return app


class Coordinator:
    """One run: strategy, evaluation, files.

    Parameters
    ----------
    task
        What is learned.
    scenario
        How.
    inner
        The Flower strategy that aggregates.
    clock
        Dates the lines of the history.

    Raises
    ------
    ConfigError
        If the evaluation is unknown, or a resumed run has other settings.
    """

    def __init__(
        self, task: Task, scenario: Scenario, inner: Strategy, clock: Clock
    ) -> None:
        self._task = task
        self._clock = clock
        self._scenario = scenario
        self._strategy = AskStrategy(inner, scenario, task.num_classes)
        self._rows: list[dict[str, Any]] = []
        self._evaluate: Evaluate | None = None
        self._arrays: Arrays = {}
        if scenario.run.evaluate:
            self._evaluate = resolve("evaluation", scenario.run.evaluate, EVALUATIONS)
        self._folder: RunFolder | None = None
        if scenario.run.out:
            self._folder = RunFolder(Path(scenario.run.out), fingerprint(scenario))

    def run(self, grid: Grid) -> None:
        """Run to the end of the last cycle, from the start or from a checkpoint."""
        model = self._task.build(self._scenario.seed)
        initial = {k: t.detach().numpy().copy() for k, t in model.state_dict().items()}
        self._strategy.begin(to_record(initial))
        self._arrays = initial
        self._resume()
        self._strategy.start(
            grid,
            to_record(dict(self._arrays)),
            num_rounds=self._strategy.num_rounds,
            timeout=self._scenario.run.round_timeout_s,
            evaluate_fn=self._after_round,
        )
        if self._folder is not None:
            self._folder.finish(self._arrays, self.account())

    def _resume(self) -> None:
        folder, run = self._folder, self._scenario.run
        if folder is None or not run.resume:
            return
        if self._scenario.fleet.store != "sqlite":
            msg = "run.resume needs fleet.store = 'sqlite': memory forgets the labels"
            raise ConfigError(msg)
        checkpoint = folder.load()
        if checkpoint is None:
            return
        self._arrays = checkpoint.arrays
        self._rows = checkpoint.rows
        self._strategy.progress = Progress.from_state(checkpoint.progress)
        restore_inner(self._strategy.inner, checkpoint.inner)

    def _after_round(
        self, server_round: int, arrays: ArrayRecord
    ) -> MetricRecord | None:
        """Note the round, evaluate at the end of a cycle, save. Called by Flower.

        What it returns Flower puts into its log and its result.
        """
        if server_round == 0:
            return None
        progress = self._strategy.progress
        self._arrays = {name: array.numpy() for name, array in arrays.items()}
        cycle, step = divmod(progress.rounds - 1, self._scenario.train.rounds)
        row: dict[str, Any] = {
            "round": progress.rounds,
            "cycle": cycle + 1,
            "labels": progress.labelled,
            "refused": sum(
                number == progress.rounds for number, *_ in progress.refused
            ),
        }
        if step == self._scenario.train.rounds - 1 and self._evaluate is not None:
            row |= self._evaluate(self._task, self._scenario, self._arrays)
        self._rows.append(row)
        if self._folder is not None:
            self._save(row)
        shown = ("labels", "accuracy", "loss")
        return MetricRecord({key: row[key] for key in shown if key in row})

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
                )
            )

    def account(self) -> dict[str, Any]:
        """Return the server's account of the run: sums and counts only."""
        progress = self._strategy.progress
        return {
            "schema": 1,
            "policy": self._scenario.ask.policy,
            "seed": self._scenario.seed,
            "classes": list(self._task.classes),
            "rows": self._rows,
            "ledger": progress.ledger.summary(),
            "labels_by_device": {
                device: list(counts)
                for device, counts in sorted(progress.classes.items())
            },
            "refused": [list(entry) for entry in progress.refused],
            "wire": progress.wire.to_state(),
        }


def fingerprint(scenario: Scenario) -> dict[str, Any]:
    """Return the settings that decide a run; where it writes does not."""
    return {k: v for k, v in scenario.to_flat().items() if not k.startswith("run.")}
