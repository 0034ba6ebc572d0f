"""One device: what it does with one train message. Called by the ClientApp.

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

from fedask.client import warmup
from fedask.client.asking import Asker
from fedask.client.learner import Learner
from fedask.client.oracles.oracle import SKIP, Oracle
from fedask.client.pool import Pool
from fedask.client.queue import DeviceStore, Item, State, totals
from fedask.client.rating import Counted, Rater
from fedask.client.rating import present as in_pool
from fedask.client.setting import Setting
from fedask.client.sgd import Labelled, Lesson, Trained, WarmLesson, decayed
from fedask.client.weak import Weak
from fedask.common.errors import DataError, ProtocolError, UnavailableError
from fedask.common.ids import DeviceId, Uid
from fedask.common.records import DIVERGED, Ask, Report
from fedask.common.weights import Arrays

_WAITING = frozenset({State.QUEUED, State.LEASED})
_ANSWERED = frozenset({State.LABELLED, State.TRAINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a round leaves to be sent.

    Parameters
    ----------
    report
        For the server.
    arrays
        The trained model; None without a label, or if training diverged.
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
class Begun:
    """A round up to its training.

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
    lesson
        What to train on; None without a label.
    weight
        What an update counts as: people's labels, and weak ones at their weight, the
        sum rounded up; in a warm-up its samples.
    setting
        Of the message.
    """

    items: list[Item]
    labelled: list[Item]
    counted: Counted | None
    refused: str
    lesson: Lesson | WarmLesson | None
    weight: int
    setting: Setting


def always(tick: int) -> bool:  # noqa: ARG001
    """Answer every round: the presence of a real device is not ours to decide."""
    return True


class Device:
    """A pool, a store, and people who answer.

    Parameters
    ----------
    device_id
        Its pseudonym.
    pool
        Its samples.
    store
        What it remembers.
    oracle
        Who answers.
    present
        Whether it takes part in round ``tick``; simulations let devices miss rounds.
    lessons
        The samples it may train on, where not all may be: answers about others are
        kept, and of no use. None: ``pool``, and a sample that is gone is an error.
    """

    def __init__(
        self,
        *,
        device_id: DeviceId,
        pool: Pool,
        store: DeviceStore,
        oracle: Oracle,
        present: Callable[[int], bool] = always,
        lessons: Pool | None = None,
    ) -> None:
        self.device_id = device_id
        self.pool = pool
        self.store = store
        self._rater = Rater(pool, store)
        self._asker = Asker(device_id, pool, store)
        self._oracle = oracle
        self._others = lessons
        self._present = present
        self._reported: tuple[list[Item], Report] | None = None
        self._weak: Weak | None = None
        self._known: tuple[object, Labelled] | None = None

    def begin(self, setting: Setting, ask: Ask, prox: float) -> Begun:
        """Do everything of a round before training: cut, answers, scores.

        Parameters
        ----------
        setting
            With the message's model loaded.
        ask
            From the message.
        prox
            Weight of the FedProx term, from the message.

        Raises
        ------
        UnavailableError
            If the device misses this round.
        FedaskError
            If anything is refused; the store is as before or ahead, never broken.
        """
        config = setting.scenario.train
        tick = config.tick(ask.cycle, ask.step)
        if not self._present(tick):
            msg = f"{self.device_id} misses round {tick + config.warmup + 1}"
            raise UnavailableError(msg)
        if ask.warms_up:
            return self._warm(setting, ask.step, prox)
        refused, counted = "", None
        if ask.cut is not None and ask.cut.cycle > self.store.last_cycle():
            refused = self._asker.apply(ask.cut, setting)
        items = self._collect(setting, ask.cycle, tick)
        self._asker.answered(items, ask.cycle, setting)
        if ask.score:
            counted = self._rater.score(ask, setting, items)
        labelled = self._usable(items)
        weak = self._weak_labels(setting, items)
        lesson = None
        if labelled or weak:
            lesson = self._lesson(setting, labelled, weak, tick, prox)
        return Begun(
            items=items,
            labelled=labelled,
            counted=counted,
            refused=refused,
            lesson=lesson,
            weight=len(labelled) + setting.scenario.weak.counts_as(len(weak)),
            setting=setting,
        )

    def _warm(self, setting: Setting, step: int, prox: float) -> Begun:
        """Begin a round of warm-up: nothing is asked, scored or taken in.

        Raises
        ------
        ProtocolError
            If the run has no such round.
        """
        config, seed = setting.scenario.train, setting.scenario.seed
        if step >= config.warmup:
            msg = f"round {step + 1} of warm-up: train.warmup = {config.warmup}"
            raise ProtocolError(msg)
        drawn = warmup.draw(self._lessons, seed, step)
        lesson = None
        if len(drawn) >= warmup.FEWEST:
            lesson = WarmLesson(
                inputs=setting.learner.prepare_warmup(self._lessons.load(drawn)),
                lr=decayed(config.lr, step, config.warmup),
                prox=max(prox, config.prox),
                stream=("warm-up", seed, self.device_id, step),
            )
        items = self.store.items()
        return Begun(
            items=items,
            labelled=self._usable(items),
            counted=None,
            refused="",
            lesson=lesson,
            weight=len(drawn),
            setting=setting,
        )

    def finish(self, begun: Begun, trained: Trained | None) -> Outcome:
        """Take in what training gave (None without a label) and report."""
        refused = begun.refused
        if trained is not None and not trained.usable:
            # The update is worthless, the account of the labels is not.
            refused, trained = DIVERGED, None
        if trained is not None and isinstance(begun.lesson, Lesson):
            self.store.trained(
                {
                    i.uid: i.label
                    for i in begun.labelled
                    if i.state is State.LABELLED and i.label is not None
                }
            )
            self._rater.learned(trained, begun.setting)
        report = self._report(begun, refused)
        if trained is None:
            return Outcome(report=report, arrays=None, loss=0.0, weight=0)
        return Outcome(
            report=report,
            arrays=trained.arrays,
            loss=trained.loss,
            weight=begun.weight,
        )

    def evaluate(self, learner: Learner, arrays: Arrays) -> tuple[float, int]:
        """Measure a model on the labels this device holds.

        Returns
        -------
        tuple
            Accuracy in [0, 1] and number of labels; 0 and 0 without a label. These
            samples may have been trained on: it is a check of health, not a test.
        """
        labelled = self._usable(self.store.items())
        if not labelled:
            return 0.0, 0
        learner.load(arrays)
        probs = learner.predict(self._lessons.load([item.uid for item in labelled]))
        truth = np.array([item.label for item in labelled])
        return float((probs.argmax(axis=1) == truth).mean()), len(labelled)

    def _collect(self, setting: Setting, cycle: int, tick: int) -> list[Item]:
        """Expire what waited too long, take in new answers; returns the whole queue."""
        items = self.store.items()
        waiting = [item for item in items if item.state in _WAITING]
        if not waiting:
            return items
        patience = setting.scenario.ask.patience
        if patience:
            late = [i.uid for i in waiting if cycle >= i.cycle + patience]
            self.store.move(late, State.EXPIRED, meanwhile=True)
            waiting = [i for i in waiting if i.uid not in late]
        answers = self._oracle.answer(waiting, tick)
        skipped = [uid for uid, answer in answers.items() if answer == SKIP]
        self.store.move(skipped, State.SKIPPED, meanwhile=True)
        classes = range(setting.task.num_classes)
        good = {u: n for u, n in answers.items() if n in classes}
        if good:  # kept, whatever stands beside it
            self.store.answer(good, self._oracle.name)
        for uid, label in answers.items():
            if label != SKIP:
                _check_label(uid, label, setting.task.num_classes)
        return self.store.items()

    def _weak_labels(self, setting: Setting, items: list[Item]) -> dict[Uid, int]:
        """Return what labelling functions say, while people have said little."""
        config = setting.scenario.weak
        if not config.names:
            return {}
        if self._weak is None:
            classes, seed = setting.task.num_classes, setting.scenario.seed
            self._weak = Weak(config, classes, self.device_id, seed)
        if self._others is not None:
            items = in_pool(self._others, items)
        return self._weak.labels(self._lessons, items)

    @property
    def _lessons(self) -> Pool:
        """The samples it may train on."""
        return self.pool if self._others is None else self._others

    def _usable(self, items: Sequence[Item]) -> list[Item]:
        """Return what was answered and may be trained on."""
        answered = [item for item in items if item.state in _ANSWERED]
        return answered if self._others is None else in_pool(self._others, answered)

    def _lesson(
        self,
        setting: Setting,
        labelled: list[Item],
        weak: Mapping[Uid, int],
        tick: int,
        prox: float,
    ) -> Lesson:
        uids = tuple(item.uid for item in labelled)
        labels = [int(item.label) for item in labelled if item.label is not None]
        if self._known is None or self._known[0] != (uids, labels, weak):
            for uid, label in zip(uids, labels, strict=True):
                # Another process may have stored it, for a task of other classes.
                _check_label(uid, label, setting.task.num_classes)
            weights = None
            if weak:
                weights = [1.0] * len(uids)
                weights += [setting.scenario.weak.weight] * len(weak)
            raw = self._lessons.load([*uids, *weak])
            inputs = setting.learner.prepare(raw, [*labels, *weak.values()], weights)
            self._known = ((uids, labels, weak), inputs)
        config = setting.scenario.train
        return Lesson(
            labelled=self._known[1],
            lr=decayed(config.lr, tick % config.rounds, config.rounds),
            prox=max(prox, config.prox),
            stream=("train", setting.scenario.seed, self.device_id, tick),
        )

    def _report(self, begun: Begun, refused: str) -> Report:
        items, cycle = begun.items, self.store.last_cycle()
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
            asked=asked,
            answered=answered,
            skipped=skipped,
            expired=expired,
            class_counts=tuple(
                counts[label] for label in range(begun.setting.task.num_classes)
            ),
            grid=begun.counted.grid if begun.counted else None,
            sums=begun.counted.sums if begun.counted else None,
        )
        if plain:
            self._reported = (items, report)
        return report


def _check_label(uid: Uid, label: int, num_classes: int) -> None:
    if not 0 <= label < num_classes:
        msg = f"sample {uid}: label {label} is not one of {num_classes} classes"
        raise DataError(msg)
