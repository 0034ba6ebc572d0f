"""Scores the pool and the queue of a device with the loaded model.

Called by the device in a scoring round, and by the stream for what has just arrived.
Writes scores and the models that scorers look through; never asks and never trains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fedask.client.learning.batchers.deduplication import NEAR_SAMPLES, near_pairs
from fedask.client.learning.scorers.scorer import (
    ScoringContext,
)
from fedask.client.learning.selection.best_scores import MakeView, score_pool
from fedask.client.learning.selection.grouping import Grouper
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.records.device_store import GLOBAL, DeviceStore, Waiting
from fedask.client.records.label_queue import WAITING, Item, ItemState
from fedask.client.records.pool import Pool
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import Uid
from fedask.common.records import Ask
from fedask.common.sections import MAX_CAPACITY, AskConfig
from fedask.common.user_code import user_code

ASKABLE_AGAIN = frozenset({ItemState.EXPIRED})  # may be scored and asked once more


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """The counts that a device adds to the sums of the fleet after scoring.

    Parameters
    ----------
    grid
        (g, b) of the policy.
    sums
        (g, 17) of the groups; None where they are the predicted classes.
    """

    grid: IntArray
    sums: IntArray | None


class PoolRater:
    """Scores the samples of one device.

    Parameters
    ----------
    keeps_model
        Whether the store is to keep the scoring model whatever the scenario says.
    """

    def __init__(
        self, pool: Pool, store: DeviceStore, *, keeps_model: bool = False
    ) -> None:
        self._pool = pool
        self._store = store
        self._keeps_model = keeps_model

    def score(self, ask: Ask, run: RunContext, items: Sequence[Item]) -> ScoreCounts:
        """Score the pool with the loaded model; returns what the fleet adds up.

        Parameters
        ----------
        ask
            Its ``score`` names the model; the next cut must name the same.
        items
            Everything ever asked.
        """
        config = run.scenario.ask
        keep = max(config.capacity, int(config.capacity * config.shortlist))
        grouper, sums = run.grouper(ask), None
        scored = self.scored(self._pool, ask.cycle, run, items, keep, grouper)
        if grouper is not None:
            predictor = run.predictor(self._store, grouper.needs, ask.cycle)
            sums = grouper.tally(self._pool, predictor, present(self._pool, items))
        waiting = self._waiting(scored, ask.cycle, run, items)
        self._store.scores.put(ask.score, scored, waiting)
        # One for samples that arrive and for the local model to begin from, and for the
        # committee as many as there were now.
        models = config.committee * (GLOBAL in run.kinds)
        models += run.scenario.stream.on or self._keeps_model
        if run.learner.loaded is not None and models:
            self._store.models.put(GLOBAL, run.learner.loaded, keep=models)
        able = scored.head(labels_left(config, items))
        with user_code("the policy", run.policy):
            return ScoreCounts(run.policy.contribute(able, ask.cut), sums)

    def scored(
        self,
        samples: Pool,
        cycle: int,
        run: RunContext,
        items: Sequence[Item],
        keep: int,
        grouper: Grouper | None = None,
    ) -> Scored:
        """Score samples that are neither waiting for an answer nor answered.

        Parameters
        ----------
        samples
            The device's pool, or what has just arrived.
        cycle, items
            As for ``score``.
        keep
            How many of the best to return.
        grouper
            Says their groups; None: the predicted classes.
        """
        gone = {item.uid for item in items if item.state not in ASKABLE_AGAIN}
        make_view, context = self._views_and_context(cycle, run, items, grouper)
        return score_pool(samples, gone, make_view, run.scorer, context, keep=keep)

    def _views_and_context(
        self,
        cycle: int,
        run: RunContext,
        items: Sequence[Item],
        grouper: Grouper | None = None,
    ) -> tuple[MakeView, ScoringContext]:
        """Return a function that makes the view of a batch, and the context of all."""
        needs = run.scorer.needs
        if grouper is not None:
            needs |= grouper.needs
        items = present(self._pool, items)
        predictor = run.predictor(self._store, needs, cycle)
        if run.scenario.ask.calibrate:
            predictor.calibrate(self._pool, items)
        context = predictor.scoring_context(self._pool, items)
        view = partial(predictor.view, context=context)
        if grouper is None:
            return view, context
        return (lambda uids, raw: grouper.grouped(view(uids, raw))), context

    def _waiting(
        self, scored: Scored, cycle: int, run: RunContext, items: Sequence[Item]
    ) -> Waiting | None:
        """Score the queue with the loaded model; None if that changes nothing.

        A scorer that looks at what was asked before sees what waits among it, so that
        its scores of the queue are low; they still tell which of it goes first.
        """
        uids = [item.uid for item in items if item.state in WAITING]
        similarity = run.scenario.ask.near
        if not uids and not similarity:
            return None
        part = self._pool.part(uids)
        make_view, context = self._views_and_context(cycle, run, items)
        again = score_pool(part, (), make_view, run.scorer, context, keep=len(part))
        pairs: list[tuple[Uid, Uid]] = []
        if similarity:
            both = [
                *again.head(NEAR_SAMPLES // 2).uids,
                *scored.head(NEAR_SAMPLES).uids,
            ]
            chosen = np.array(both[:NEAR_SAMPLES], dtype=np.str_)
            predictor = run.predictor(self._store, frozenset({"features"}), cycle)
            raw = self._pool.load([Uid(uid) for uid in chosen.tolist()])
            features = predictor.view(chosen, raw).features
            pairs = near_pairs(chosen, features, similarity)
        scores = zip(again.uids.tolist(), again.scores.tolist(), strict=True)
        return Waiting(scores={Uid(u): score for u, score in scores}, near=pairs)


def present(pool: Pool, items: Sequence[Item]) -> list[Item]:
    """Return the items whose samples are in the pool: those a model may look at."""
    here = pool.has([item.uid for item in items])
    return [item for item, ok in zip(items, here.tolist(), strict=True) if ok]


def labels_left(config: AskConfig, items: Sequence[Item]) -> int:
    """Return how many labels this device may still be asked in a cycle.

    Parameters
    ----------
    items
        Everything ever asked; what expired did not cost anyone a label.
    """
    if not config.device_labels:
        return MAX_CAPACITY
    spent = sum(item.asked - item.expired for item in items)
    return max(0, config.device_labels - spent)
