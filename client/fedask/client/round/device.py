"""One device: carries out a train message. Called by the ClientApp.

The order within a round is fixed: apply the cut, ask, score, train, report. Whatever
was queued or answered is in the store before the reply exists, so a lost reply, a
repeated message or a killed process changes nothing that was given by a person.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.labelling.oracles.oracle import SKIP, Oracle
from fedask.client.learning.selection.pool_rating import PoolRater, ScoreCounts
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.selection.selector import Selector
from fedask.client.learning.supervision.training_planner import (
    TrainingPlanner,
    check_label,
)
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import (
    TrainingJob,
    TrainingResult,
    WarmupJob,
)
from fedask.client.records.device_store import LAST_UPDATE, DeviceStore
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import ANSWERED, WAITING, Item, ItemState, totals
from fedask.client.records.milestone import Milestone
from fedask.client.records.pool import Pool
from fedask.common.arrays import Arrays
from fedask.common.clock import Clock
from fedask.common.errors import ProtocolError, UnavailableError
from fedask.common.ids import DeviceId
from fedask.common.records import Ask, Report
from fedask.common.user_code import user_code


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOutcome:
    """What a device sends at the end of a round.

    Parameters
    ----------
    arrays
        The update: the arrays of the trained model that may have changed; None without
        a label, or if they are not fit to send.
    loss
        Of the last training batch; 0 without training.
    weight
        What the update counts as beside those of other devices, in labels; 0 without
        one.
    """

    report: Report
    arrays: Mapping[str, NDArray[Any]] | None
    loss: float
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunRound:
    """A round of a device up to its training.

    Parameters
    ----------
    items
        The whole queue.
    labelled
        Those of it that were answered.
    counted
        Counts of scores, if the round asked for them.
    refused
        Why the cut was refused, or "".
    job
        What to train on; None without a label.
    weight
        What an update counts as: people's labels, and weak ones at their weight, the
        sum rounded up; in a warm-up its samples.
    training
        The samples of the job, to be recorded.
    """

    items: list[Item]
    labelled: list[Item]
    counted: ScoreCounts | None
    refused: str
    job: TrainingJob | WarmupJob | None
    weight: int
    run: RunContext
    training: Training


class Device:
    """A device of a fleet: a pool, a store, and people who answer.

    Parameters
    ----------
    present
        Whether it takes part in round ``tick``: simulations let devices miss rounds.
        None: in every round.
    proceed
        Called between two steps of training; raises when the device must stop.
    training_pool
        The samples it may train on, where not all may be: answers about others are
        kept, and of no use. None: ``pool``, and a sample that is gone is an error.
    clock
        Dates what the server tells of the model. None: nobody is there to read it, and
        none of it is kept, as in simulations.
    keeps_model
        Whether its store keeps the global model of the last scoring, for a local model
        to begin from. A stream or a committee keeps it anyway.
    """

    def __init__(  # noqa: PLR0913  (what a device is made of, in one place)
        self,
        *,
        device_id: DeviceId,
        pool: Pool,
        store: DeviceStore,
        oracle: Oracle,
        present: Callable[[int], bool] | None = None,
        proceed: Callable[[], None] = lambda: None,
        training_pool: Pool | None = None,
        clock: Clock | None = None,
        keeps_model: bool = False,
    ) -> None:
        self.device_id = device_id
        self.pool = pool
        self.store = store
        self.proceed = proceed
        self._rater = PoolRater(pool, store, keeps_model=keeps_model)
        self._selector = Selector(device_id, pool, store)
        self._oracle = oracle
        self._clock = clock
        self._present = present
        self._reported: tuple[list[Item], Report] | None = None
        self._planner = TrainingPlanner(device_id, pool, store, training_pool)
        self._recorded: Training | None = None

    def begin(self, run: RunContext, ask: Ask, prox: float) -> BegunRound:
        """Apply the cut, collect answers, score: all of a round before training.

        Parameters
        ----------
        run
            With the message's model loaded.
        prox
            Weight of the FedProx term, from the message.

        Raises
        ------
        UnavailableError
            If the device misses this round.
        FedaskError
            If anything is refused; the store is as before or ahead, never broken.
        """
        config = run.scenario.train
        tick = config.tick(ask.cycle, ask.step)
        if self._present is not None and not self._present(tick):
            raise UnavailableError(
                f"{self.device_id} misses round {tick + config.warmup + 1}"
            )
        if ask.warms_up:
            return self._warm(run, ask.step, prox)
        self._note_accuracy(ask)
        refused, counted = "", None
        if ask.cut is not None and ask.cut.cycle > self.store.cuts.last_cycle():
            refused = self._selector.apply(ask.cut, run)
        items = self._collect(run, ask.cycle, tick)
        self._selector.answered(items, ask.cycle, run)
        if ask.score:
            counted = self._rater.score(ask, run, items)
            items = self._planner.propose_auto_labels(run, items, ask.cycle)
        labelled = self._usable(items)
        plan = self._planner.plan(run, items, labelled, tick, prox)
        return BegunRound(
            items=items,
            labelled=labelled,
            counted=counted,
            refused=refused,
            job=plan.job,
            weight=plan.weight,
            run=run,
            training=Training(cycle=ask.cycle, uids=plan.uids),
        )

    def _note_accuracy(self, ask: Ask) -> None:
        """Store the accuracy of the last model, if the server sent it."""
        if ask.accuracy is None or self._clock is None:
            return
        trained = sum(
            item.state is ItemState.TRAINED for item in self.store.queue.items()
        )
        self.store.milestones.put(
            Milestone(
                run=ask.run,
                cycle=ask.cycle - 1,
                accuracy=ask.accuracy,
                at=self._clock.now(),
                trained=trained,
            )
        )

    def _warm(self, run: RunContext, step: int, prox: float) -> BegunRound:
        """Begin a round of warm-up, which neither asks nor scores.

        Raises
        ------
        ProtocolError
            If the run has no such round.
        """
        config = run.scenario.train
        if step >= config.warmup:
            raise ProtocolError(
                f"round {step + 1} of warm-up: train.warmup = {config.warmup}"
            )
        plan = self._planner.plan_warmup(run, step, prox)
        items = self.store.queue.items()
        return BegunRound(
            items=items,
            labelled=self._usable(items),
            counted=None,
            refused="",
            job=plan.job,
            weight=plan.weight,
            run=run,
            training=Training(cycle=0, uids=plan.uids),
        )

    def skip(self, run: RunContext, refused: str) -> BegunRound:
        """Begin a round in which nothing can be done but to report why."""
        items = self.store.queue.items()
        return BegunRound(
            items=items,
            labelled=self._usable(items),
            counted=None,
            refused=refused,
            job=None,
            weight=0,
            run=run,
            training=Training(cycle=0, uids=frozenset()),
        )

    def finish(self, begun: BegunRound, trained: TrainingResult | None) -> RoundOutcome:
        """Store the result of training (None without a label) and report."""
        refused, array = begun.refused, ""
        if trained is not None and trained.fault is not None:
            # The update is worthless, the account of the labels is not.
            refused, array = trained.fault.reason, trained.fault.array
            trained = None
        if trained is not None:
            self._record(begun)
            if isinstance(begun.job, TrainingJob) and LAST_UPDATE in begun.run.kinds:
                self.store.models.put(LAST_UPDATE, trained.arrays, keep=1)
        report = self._report(begun, refused, array)
        if trained is None:
            return RoundOutcome(report=report, arrays=None, loss=0.0, weight=0)
        return RoundOutcome(
            report=report,
            arrays=trained.update,
            loss=trained.loss,
            weight=begun.weight,
        )

    def _record(self, begun: BegunRound) -> None:
        """Record which samples a model was trained on."""
        fresh = {}
        if isinstance(begun.job, TrainingJob):
            fresh = {
                item.uid: item.label
                for item in begun.labelled
                if item.state is ItemState.LABELLED and item.label is not None
            }
        if fresh or begun.training != self._recorded:
            self.store.queue.trained(fresh, begun.training)
            self._recorded = begun.training

    def evaluate(self, learner: Learner, arrays: Arrays) -> tuple[float, int]:
        """Measure a model on the labels this device holds.

        Returns
        -------
        tuple
            Accuracy in [0, 1] and number of labels; 0 and 0 without a label. These
            samples may have been trained on: it is a check of health, not a test.
        """
        labelled = self._planner.not_dropped(self._usable(self.store.queue.items()))
        if not labelled:
            return 0.0, 0
        learner.load(arrays)
        probs = self._planner.probs(learner, labelled)
        truth = np.array([item.label for item in labelled])
        return float((probs.argmax(axis=1) == truth).mean()), len(labelled)

    def _collect(self, run: RunContext, cycle: int, tick: int) -> list[Item]:
        """Expire old questions and store new answers; returns the whole queue."""
        items = self.store.queue.items()
        waiting = [item for item in items if item.state in WAITING]
        if not waiting:
            return items
        patience = run.scenario.ask.patience
        if patience:
            late = [i.uid for i in waiting if cycle >= i.cycle + patience]
            self.store.queue.move(late, ItemState.EXPIRED, meanwhile=True)
            waiting = [i for i in waiting if i.uid not in late]
        with user_code("whoever answers", self._oracle):
            answers = self._oracle.answer(waiting, tick)
        skipped = [uid for uid, answer in answers.items() if answer == SKIP]
        self.store.queue.move(skipped, ItemState.SKIPPED, meanwhile=True)
        classes = range(run.task.num_classes)
        good = {u: n for u, n in answers.items() if n in classes}
        if good:  # kept, whatever stands beside it
            self.store.queue.answer(good, self._oracle.name)
        for uid, label in answers.items():
            if label != SKIP:
                check_label(uid, label, run.task.num_classes)
        return self.store.queue.items()

    def _usable(self, items: Sequence[Item]) -> list[Item]:
        """Return the answered items that may be trained on."""
        answered = [item for item in items if item.state in ANSWERED]
        return self._planner.permitted(answered)

    def _report(self, begun: BegunRound, refused: str, array: str) -> Report:
        items, cycle = begun.items, self.store.cuts.last_cycle()
        plain = begun.counted is None and not refused
        if plain and self._reported is not None:
            before, report = self._reported
            if before == items and report.cut_cycle == cycle:
                return report  # most rounds change nothing
        counts = Counter(item.label for item in begun.labelled)
        asked, answered, skipped, expired = totals(items)
        report = Report(
            device=self.device_id,
            cut_cycle=cycle,
            refused=refused,
            array=array,
            asked=asked,
            answered=answered,
            skipped=skipped,
            expired=expired,
            class_counts=tuple(
                counts[label] for label in range(begun.run.task.num_classes)
            ),
            grid=begun.counted.grid if begun.counted else None,
            sums=begun.counted.sums if begun.counted else None,
        )
        if plain:
            self._reported = (items, report)
        return report
