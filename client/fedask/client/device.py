"""One device: what it does with one train message. Called by the ClientApp.

The order within a round is fixed: apply the cut, ask, score, train, report. Whatever
was queued or answered is in the store before the reply exists, so a lost reply, a
repeated message or a killed process changes nothing that was given by a person.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.batchers.batcher import Shortlist, make_batcher
from fedask.client.learner import Labelled, Learner, Lesson, decayed
from fedask.client.oracles.oracle import SKIP, Oracle
from fedask.client.pool import Pool
from fedask.client.queue import DeviceStore, Item, State
from fedask.client.scorers.scorer import make_scorer
from fedask.client.scoring import score_pool
from fedask.common.config import Scenario
from fedask.common.errors import DataError, UnavailableError
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId, Uid, hash_uids, stable_seed
from fedask.common.policies.policy import Policy, make_policy
from fedask.common.records import (
    DIVERGED,
    OTHER_GROUPS,
    OTHER_MODEL,
    Ask,
    Cut,
    Report,
)
from fedask.common.task import Task
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
    """

    report: Report
    arrays: Mapping[str, NDArray[Any]] | None
    loss: float


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
    """

    def __init__(
        self,
        *,
        device_id: DeviceId,
        pool: Pool,
        store: DeviceStore,
        oracle: Oracle,
        present: Callable[[int], bool] = always,
    ) -> None:
        self.device_id = device_id
        self.pool = pool
        self.store = store
        self._oracle = oracle
        self._present = present
        self._reported: tuple[list[Item], Report] | None = None
        self._known: tuple[tuple[Uid, ...], Labelled] | None = None

    def run_round(
        self,
        task: Task,
        scenario: Scenario,
        learner: Learner,
        ask: Ask,
        arrays: Arrays,
        prox: float,
    ) -> Outcome:
        """Do one round.

        Raises
        ------
        UnavailableError
            If the device misses this round.
        FedaskError
            If anything is refused; the store is as before or ahead, never broken.
        """
        tick = (ask.cycle - 1) * scenario.train.rounds + ask.step
        if not self._present(tick):
            msg = f"{self.device_id} misses round {tick + 1}"
            raise UnavailableError(msg)
        learner.load(arrays)
        refused = ""
        if ask.cut is not None and ask.cut.cycle > self.store.last_cycle():
            refused = self._apply(ask.cut, task, scenario, learner)
        items = self._collect(task, scenario, ask.cycle, tick)
        grid = self._score(ask, task, scenario, learner, items) if ask.score else None
        labelled = [item for item in items if item.state in _ANSWERED]
        loss, trained = 0.0, None
        if labelled:
            loss = self._train(task, learner, scenario, labelled, tick, prox)
            if isfinite(loss):
                trained = learner.arrays()
                fresh = [i.uid for i in labelled if i.state is State.LABELLED]
                self.store.move(fresh, State.TRAINED)
            else:
                # The update is worthless, the account of the labels is not.
                refused, loss = DIVERGED, 0.0
        report = self._report(items, labelled, grid, refused, task.num_classes)
        return Outcome(report=report, arrays=trained, loss=loss)

    def evaluate(self, learner: Learner, arrays: Arrays) -> tuple[float, int]:
        """Measure a model on the labels this device holds.

        Returns
        -------
        tuple
            Accuracy in [0, 1] and number of labels; 0 and 0 without a label. These
            samples may have been trained on: it is a check of health, not a test.
        """
        labelled = [item for item in self.store.items() if item.state in _ANSWERED]
        if not labelled:
            return 0.0, 0
        learner.load(arrays)
        probs = learner.predict(self.pool.load([item.uid for item in labelled]))
        truth = np.array([item.label for item in labelled])
        return float((probs.argmax(axis=1) == truth).mean()), len(labelled)

    def _apply(self, cut: Cut, task: Task, scenario: Scenario, learner: Learner) -> str:
        """Queue what the cut buys; returns why not, or ""."""
        policy = make_policy(scenario.ask, task.num_classes)
        if not cut.model_version:
            most = min(cut.take, scenario.ask.capacity)
            self.store.add(cut.cycle, self._first(cut, most))
            return ""
        kept = self.store.scores()
        if kept is None or kept[0] != cut.model_version:
            # Missed the scoring round: its share of the quota returns to the fleet.
            return OTHER_MODEL
        if len(cut.theta) not in {0, policy.grid_shape[0]}:
            return OTHER_GROUPS
        known = {item.uid for item in self.store.items() if item.state not in _AGAIN}
        scored = kept[1].keep(~np.isin(kept[1].uids, list(known)))
        accepted = policy.accept(cut, scored, self.device_id)
        picks = self._pick(scored, accepted, policy, scenario, learner, cut)
        self.store.add(cut.cycle, picks)
        return ""

    def _first(self, cut: Cut, most: int) -> list[Uid]:
        """Choose the first questions by hash: nothing is known yet."""
        uids = self.pool.uids
        order = np.lexsort((uids, hash_uids(uids, cut.nonce)))
        return [Uid(uid) for uid in uids[order[:most]].tolist()]

    def _pick(
        self,
        scored: Scored,
        accepted: NDArray[np.bool_],
        policy: Policy,
        scenario: Scenario,
        learner: Learner,
        cut: Cut,
    ) -> list[Uid]:
        """Let the batcher choose as many as were accepted, out of the shortlist."""
        k = int(accepted.sum())
        if k == 0:
            return []
        batcher = make_batcher("top" if policy.scorer else scenario.ask.batcher)
        size = max(k, int(k * scenario.ask.shortlist))
        if batcher.needs and k < size:
            rows = np.arange(min(size, len(scored)))
            uids = [Uid(uid) for uid in scored.uids[rows].tolist()]
            probs, features = learner.look(self.pool.load(uids))
        else:
            rows = np.flatnonzero(accepted)
            empty = np.zeros((len(rows), 0), dtype=np.float32)
            probs, features = empty, empty
        shortlist = Shortlist(scored.scores[rows], accepted[rows], features, probs)
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self.device_id))
        chosen = rows[batcher.pick(shortlist, k, rng)]
        return [Uid(uid) for uid in scored.uids[chosen].tolist()]

    def _collect(
        self, task: Task, scenario: Scenario, cycle: int, tick: int
    ) -> list[Item]:
        """Expire what waited too long, take in new answers; returns the whole queue."""
        items = self.store.items()
        waiting = [item for item in items if item.state in _WAITING]
        if not waiting:
            return items
        patience = scenario.ask.patience
        if patience:
            late = [i.uid for i in waiting if cycle >= i.cycle + patience]
            self.store.move(late, State.EXPIRED)
            waiting = [i for i in waiting if i.uid not in late]
        for uid, label in self._oracle.answer(waiting, tick).items():
            if label == SKIP:
                self.store.move([uid], State.SKIPPED)
            else:
                _check_label(uid, label, task.num_classes)
                self.store.answer(uid, label)
        return self.store.items()

    def _score(
        self,
        ask: Ask,
        task: Task,
        scenario: Scenario,
        learner: Learner,
        items: list[Item],
    ) -> IntArray:
        """Score the pool with the model of this message and count the best."""
        config = scenario.ask
        policy = make_policy(config, task.num_classes)
        scored = score_pool(
            self.pool,
            {item.uid for item in items if item.state not in _AGAIN},
            learner.predict,
            make_scorer(policy.scorer or config.scorer),
            keep=max(config.capacity, int(config.capacity * config.shortlist)),
            salt=stable_seed("score", scenario.seed, ask.cycle),
        )
        self.store.put_scores(ask.score, scored)
        return policy.contribute(scored)

    def _train(
        self,
        task: Task,
        learner: Learner,
        scenario: Scenario,
        labelled: list[Item],
        tick: int,
        prox: float,
    ) -> float:
        uids = tuple(item.uid for item in labelled)
        if self._known is None or self._known[0] != uids:
            labels = [int(item.label) for item in labelled if item.label is not None]
            for uid, label in zip(uids, labels, strict=True):
                # Another process may have stored it, for a task of other classes.
                _check_label(uid, label, task.num_classes)
            self._known = (uids, learner.prepare(self.pool.load(uids), labels))
        config = scenario.train
        lesson = Lesson(
            labelled=self._known[1],
            lr=decayed(config.lr, tick % config.rounds, config.rounds),
            prox=max(prox, config.prox),
            stream=("train", scenario.seed, self.device_id, tick),
        )
        return learner.train(lesson)

    def _report(
        self,
        items: list[Item],
        labelled: list[Item],
        grid: IntArray | None,
        refused: str,
        num_classes: int,
    ) -> Report:
        cycle = self.store.last_cycle()
        plain = grid is None and not refused
        if plain and self._reported is not None:
            before, report = self._reported
            if before == items and report.cut_cycle == cycle:
                return report  # most rounds change nothing
        counts = Counter(item.label for item in labelled)
        report = Report(
            device=self.device_id,
            cut_cycle=cycle,
            refused=refused,
            asked=sum(item.asked for item in items),
            answered=len(labelled),
            skipped=sum(item.state is State.SKIPPED for item in items),
            expired=sum(item.expired for item in items),
            class_counts=tuple(counts[label] for label in range(num_classes)),
            grid=grid,
        )
        if plain:
            self._reported = (items, report)
        return report


def _check_label(uid: Uid, label: int, num_classes: int) -> None:
    if not 0 <= label < num_classes:
        msg = f"sample {uid}: label {label} is not one of {num_classes} classes"
        raise DataError(msg)


_AGAIN = frozenset({State.EXPIRED})  # may be scored and asked once more
