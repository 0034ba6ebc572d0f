"""A trial: a few rounds on a few samples, so that what would fail in each fails now.

Called by the ``doctor`` and before a simulation; writes nothing, sends nothing. A
device of its own, in memory, does what devices do, by the same code: it warms up, asks,
scores, picks a batch, trains and evaluates, with the task, scorer, batcher and policy
of the run. Its answers are made up, and it learns next to nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.oracles.oracle import Oracle
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.sample_stream import SampleStream
from fedask.client.learning.training.learner import Learner
from fedask.client.records.label_queue import Item
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device, RoundOutcome
from fedask.client.store.memory import MemoryStore
from fedask.common.array_rules import fault_of
from fedask.common.config import Scenario
from fedask.common.cut import Cut
from fedask.common.errors import ConfigError
from fedask.common.groups import make_grouping, to_wire
from fedask.common.ids import DeviceId, Uid
from fedask.common.module_arrays import read_arrays
from fedask.common.policies.policy import FleetSum
from fedask.common.records import DIVERGED, UNFIT, Ask
from fedask.common.task import Task
from fedask.common.user_code import user_code

SAMPLES = 12  # what is tried: enough that a batcher has a choice
_LR = 1e-6  # what is tried is the loss, not whether it converges
_STEPS = 2
_PICKED = 2  # questions of a later cycle, out of all that are left
_CLOSE = 1e-2  # relative, between features of a sample alone and among others
_DEVICE = DeviceId("trial")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)  # any time does


class _MadeUp(Oracle):
    """Answers every question with one class after the other."""

    def __init__(self, num_classes: int) -> None:
        self._classes = num_classes

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        return {item.uid: row % self._classes for row, item in enumerate(items)}


def try_rounds(task: Task, scenario: Scenario, samples: NDArray[Any]) -> None:
    """Try what rounds do, on some samples.

    Parameters
    ----------
    samples
        (n, ...) raw; of more than ``SAMPLES`` the first. None: nothing is tried.

    Raises
    ------
    ConfigError
        If anything fails that is the user's own, or the model, the scorer, the batcher
        and the policy do not go together: what failed, and on what.
    """
    some = samples[:SAMPLES]
    if len(some) == 0:
        return
    shape = " x ".join(str(side) for side in some.shape[1:]) or "one value each"
    with user_code(
        f"a trial on {len(some)} samples ({shape}, {some.dtype})", task.model
    ):
        _Trial(task, scenario, some).run()


class _Trial:
    """The device, and what a server would send it."""

    def __init__(self, task: Task, scenario: Scenario, some: NDArray[Any]) -> None:
        train = replace(scenario.train, lr=_LR, steps=min(_STEPS, scenario.train.steps))
        ask = replace(scenario.ask, device_labels=0)
        self._scenario = replace(scenario, train=train, ask=ask)
        learner = Learner(task, train)
        self._run = RunContext(task, self._scenario, learner)
        self._some = some
        self._pool = Pool(ArraySource(some, uids=_names(0, len(some))))
        self._store = MemoryStore()
        self._device = Device(
            device_id=_DEVICE,
            pool=self._pool,
            store=self._store,
            oracle=_MadeUp(task.num_classes),
        )
        self._model = read_arrays(task.build(seed=0))

    def run(self) -> None:
        """Warm up, ask one, then more; score, pick, train; evaluate, look."""
        train = self._scenario.train
        self._run.learner.load(self._model)
        if train.warmup:
            self._round(Ask(cycle=0, step=0))
        last = train.rounds - 1
        # One label alone: the smallest batch that a round can have.
        first = Cut(cycle=1, model_version="", nonce=1, take=1)
        self._round(Ask(cycle=1, step=0, cut=first))
        cut, centres = None, b""
        for cycle in (1, 2, 3):
            if cut is not None:
                self._round(Ask(cycle=cycle, step=0, cut=cut))
            version = f"{cycle:016x}"
            follows = self._run.policy.traits.follows
            ask = Ask(
                cycle=cycle,
                step=last,
                score=version,
                centres=centres,
                cut=cut if follows else None,
            )
            cut, centres = self._planned(ask, self._round(ask), cut)
        self._device.evaluate(self._run.learner, self._model)
        self._arrive()
        self._look()

    def _round(self, ask: Ask) -> RoundOutcome:
        begun = self._device.begin(self._run, ask, 0.0)
        trained = None if begun.job is None else self._run.learner.train(begun.job)
        outcome = self._device.finish(begun, trained)
        if outcome.report.refused == DIVERGED:
            raise ConfigError(
                "the loss gives NaN or infinity in training, with "
                f"{begun.weight} of the samples"
            )
        if outcome.report.refused == UNFIT:
            entry = self._run.learner.manifest.by_name[outcome.report.array]
            raise ConfigError(f"no device could send an update: {fault_of(entry)}")
        return outcome

    def _planned(
        self, ask: Ask, outcome: RoundOutcome, cut: Cut | None
    ) -> tuple[Cut, bytes]:
        """Plan the next cycle as the server would, for a fleet of one device."""
        report, task = outcome.report, self._run.task
        grid = report.grid
        if grid is None:
            raise ConfigError("the policy gives no counts of scores")
        fleet = FleetSum(
            cycle=ask.cycle + 1,
            nonce=ask.cycle,
            model_version=ask.score,
            grid=np.asarray(grid, dtype=np.int64),
            labelled=np.array(report.class_counts, dtype=np.int64),
            devices=(_DEVICE,),
            quota=_PICKED,
            cut=cut,
        )
        with user_code("the policy", self._run.policy):
            planned = self._run.policy.plan(fleet)
        grouping = make_grouping(
            self._scenario.ask, task.num_classes, self._scenario.seed
        )
        if grouping is None or report.sums is None:
            return planned, b""
        return planned, to_wire(grouping.move(None, report.sums))

    def _arrive(self) -> None:
        """Let the same samples arrive between two rounds, if arrivals are asked."""
        if self._scenario.stream.on:
            stream = SampleStream(self._pool, self._store, self._run)
            names = _names(len(self._some), len(self._some))
            stream.take(names, self._some, _NOW)
            self._run.learner.load(self._model)

    def _look(self) -> None:
        """Compare a sample's features alone with those among others.

        Rows of several samples that are mixed up have features all the same, and every
        scorer and batcher that reads them would choose at random.
        """
        learner = self._run.learner
        logits, features = learner.look(self._some)
        one_logits, one = learner.look(self._some[:1])
        if not np.allclose(logits[:1], one_logits, rtol=_CLOSE, atol=_CLOSE):
            return  # a model that draws, or looks at the batch: no features to blame
        if one.shape[1] != features.shape[1]:
            return  # of variable length, as texts padded to the longest are
        if not np.allclose(features[:1], one, rtol=_CLOSE, atol=_CLOSE):
            raise ConfigError(
                "the features of a sample change with the samples beside it: if the "
                "last layer takes the rows of all samples mixed, (t * n, d), let it "
                "take those of one sample together, (n, ...) or (n * t, d)"
            )


def _names(first: int, count: int) -> NDArray[np.str_]:
    return np.array([f"{row:032x}" for row in range(first, first + count)])
