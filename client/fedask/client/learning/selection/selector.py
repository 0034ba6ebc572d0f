"""Selects the questions of one device: applies the cut, picks the batch, queues it.

Called by the device, between the message and the training. Writes questions to the
store, and for scorers that learn a record of each question and of its outcome; never
trains. What it writes depends on the loaded model alone, so that a message that comes
again after a crash finds, or writes, the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.batchers.batcher import Shortlist
from fedask.client.learning.scorers.scorer import ScoringContext
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.selection.first_questions import (
    FEWEST_CELLS,
    first_by_cluster,
    first_by_hash,
    view_candidates,
)
from fedask.client.learning.selection.pool_rating import (
    ASKABLE_AGAIN,
    labels_left,
    present,
)
from fedask.client.learning.selection.predictor import Predictor
from fedask.client.learning.selection.run_context import RunContext, seen_by_batcher
from fedask.client.learning.training.learner import Learner
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.label_queue import Item, ItemState
from fedask.client.records.pool import Pool
from fedask.client.records.query_outcome import (
    QueryOutcome,
    QueryOutcomeStore,
    QueryRecord,
)
from fedask.common.cut import Cut
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId, Uid, stable_seed
from fedask.common.records import OTHER_GROUPS, OTHER_MODEL
from fedask.common.user_code import user_code


def record_questions(
    pool: Pool,
    store: QueryOutcomeStore,
    uids: Sequence[Uid],
    cycle: int,
    predictor: Predictor,
    context: ScoringContext,
) -> None:
    """Record the experts' scores of samples that are about to be queued.

    To be called before: a process that dies in between has recorded a question
    that it asks when the message comes again, or one that never gets an answer.
    """
    if not uids:
        return
    rows = np.array(uids, dtype=np.str_)
    view = predictor.view(rows, pool.load(uids), context)
    levels = tuple(predictor.levels(pool, context).tolist())
    store.put_asked(
        QueryRecord(
            uid=uid,
            cycle=cycle,
            experts=", ".join(predictor.experts),
            descriptors=tuple(row),
            levels=levels,
        )
        for uid, row in zip(uids, view.descriptors.tolist(), strict=True)
    )


def record_outcomes(
    pool: Pool,
    store: QueryOutcomeStore,
    items: Sequence[Item],
    cycle: int,
    learner: Learner,
) -> None:
    """Record how well the loaded model predicts answers that it was not trained on.

    Test, then train (progressive validation): the only unseen labels that a device
    has are those that have just come.

    Parameters
    ----------
    items
        The whole queue.

    References
    ----------
    Blum, Kalai and Langford, "Beating the hold-out: bounds for k-fold and
    progressive cross-validation", COLT 1999.
    """
    fresh = {i.uid: i.label for i in items if i.state is ItemState.LABELLED}
    if not fresh:
        return
    kept = store.all()
    waiting = [p.uid for p in kept if p.outcome is None and p.uid in fresh]
    if not waiting:
        return
    probs = learner.predict(pool.load(waiting))
    outcomes = {}
    for uid, row in zip(waiting, probs, strict=True):
        label = fresh[uid]
        # Another process may have stored one of another task: training refuses it.
        if label is not None and 0 <= label < len(row):
            hit = int(row.argmax()) == label
            outcome = QueryOutcome(cycle=cycle, truth=float(row[label]), hit=hit)
            outcomes[uid] = outcome
    store.put_outcomes(outcomes)


class Selector:
    """Chooses what one device asks."""

    def __init__(self, device_id: DeviceId, pool: Pool, store: DeviceStore) -> None:
        self._device_id = device_id
        self._pool = pool
        self._store = store

    def apply(self, cut: Cut, run: RunContext) -> str:
        """Queue what the cut buys; returns why not (a key of ``REASONS``), or ""."""
        scores = self._store.scores.last() if cut.model_version else None
        if cut.model_version:
            if scores is None or scores[0] != cut.model_version:
                # Missed the scoring round: its share of the quota returns to the fleet.
                return OTHER_MODEL
            if len(cut.theta) not in {0, run.policy.traits.groups}:
                return OTHER_GROUPS
        if run.scenario.stream.on:
            # For samples that arrive under it. A device that dies before the questions
            # are queued applies the cut again, but keeps it only here.
            self._store.cuts.put(cut)
        items = self._store.queue.items()
        left = labels_left(run.scenario.ask, items)
        if scores is None:
            uids = self._first(cut, min(cut.take, run.scenario.ask.capacity, left), run)
        else:
            uids = self._pick(scores[1], items, left, run, cut)
        self._queue(uids, cut, run, items)
        return ""

    def _pick(
        self,
        scored: Scored,
        items: Sequence[Item],
        left: int,
        run: RunContext,
        cut: Cut,
    ) -> list[Uid]:
        """Let the batcher choose as many as the cut accepts, out of the shortlist."""
        asked = [i.uid for i in items if i.state not in ASKABLE_AGAIN]
        # Since the scoring samples may have gone, or lost their right to be asked.
        here = self._pool.has([Uid(uid) for uid in scored.uids.tolist()])
        scored = scored.keep(here & ~np.isin(scored.uids, asked))
        accepted = np.zeros(len(scored), dtype=np.bool_)
        able = scored.head(left)
        with user_code("the policy", run.policy):
            accepted[: len(able)] = run.policy.accept(cut, able, self._device_id)
        k = int(accepted.sum())
        if k == 0:
            return []
        batcher = run.batcher
        size = min(int(k * run.scenario.ask.shortlist), len(scored))
        if not batcher.needs or size <= k:
            return [Uid(uid) for uid in scored.uids[accepted].tolist()]
        candidates = scored.head(size)
        shortlist = Shortlist(
            candidates.scores,
            accepted[:size],
            **self._shortlist_fields(candidates.uids, batcher.needs, run, cut.cycle),
        )
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self._device_id))
        with user_code("the batcher", batcher):
            chosen = batcher.pick(shortlist, k, rng)
            return [Uid(uid) for uid in candidates.uids[chosen].tolist()]

    def _queue(
        self, uids: list[Uid], cut: Cut, run: RunContext, items: Sequence[Item]
    ) -> None:
        """Queue questions; first record them if the scorer learns from answers."""
        if "history" in run.scorer.needs:
            predictor = run.predictor(
                self._store, frozenset({"descriptors"}), cut.cycle
            )
            items = present(self._pool, items)
            if run.scenario.ask.calibrate:
                predictor.calibrate(self._pool, items)
            context = predictor.scoring_context(self._pool, items)
            store = self._store.query_outcomes
            record_questions(self._pool, store, uids, cut.cycle, predictor, context)
        self._store.queue.add(cut.cycle, uids)

    def answered(self, items: Sequence[Item], cycle: int, run: RunContext) -> None:
        """Learn from answers that have come, before they are trained on."""
        if "history" in run.scorer.needs:
            here = present(self._pool, items)
            store = self._store.query_outcomes
            record_outcomes(self._pool, store, here, cycle, run.learner)

    def _first(self, cut: Cut, most: int, run: RunContext) -> list[Uid]:
        """Choose the first questions; no label has been given yet."""
        name = run.policy.traits.first or run.scenario.ask.first
        if name == "random" or not most or len(self._pool) <= FEWEST_CELLS:
            return first_by_hash(self._pool, most, cut.nonce)
        scorer = make_scorer(name)
        predictor = run.predictor(self._store, scorer.needs | {"features"}, cut.cycle)
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self._device_id))
        return first_by_cluster(
            view_candidates(self._pool, predictor, scorer, cut.nonce), most, rng
        )

    def _shortlist_fields(
        self,
        uids: NDArray[np.str_],
        needs: frozenset[str],
        run: RunContext,
        cycle: int,
    ) -> dict[str, Any]:
        """Return the fields of a shortlist that the batcher needs."""
        nothing = np.zeros((len(uids), 0), dtype=np.float32)
        fields: dict[str, Any] = {"features": nothing, "probs": nothing}
        if needs <= {"scores"}:
            return fields
        predictor = run.predictor(self._store, seen_by_batcher(needs), cycle)
        raw = self._pool.load([Uid(uid) for uid in uids.tolist()])
        view = predictor.view(uids, raw)
        fields |= {"probs": view.probs}
        for name in needs & {"features", "draws", "local_features"}:
            fields[name] = getattr(view, name)
        if "anchors" in needs:
            items = present(self._pool, self._store.queue.items())
            context = predictor.scoring_context(self._pool, items)
            fields["anchors"] = context.anchors if items else None
        if "local_probs" in needs:
            fields["local_probs"] = run.learner.softmax(view.local_logits)
        return fields
