"""Keeps a query record of each question, and its outcome when the answer comes.

Called by the selector, for scorers that learn. Never decides what is asked, and never
trains. What it writes depends on the loaded model alone, so that a message that comes
again after a crash finds, or writes, the same.
"""

from collections.abc import Sequence

import numpy as np

from fedask.client.learning.scorers.scorer import ScoringContext
from fedask.client.learning.selection.predictor import Predictor
from fedask.client.learning.training.learner import Learner
from fedask.client.records.label_queue import Item, ItemState
from fedask.client.records.pool import Pool
from fedask.client.records.query_outcome import (
    QueryOutcome,
    QueryOutcomeStore,
    QueryRecord,
)
from fedask.common.ids import Uid


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
            experts=predictor.experts.text,
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
