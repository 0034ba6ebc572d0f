"""Scores the pool in one streaming pass. Called by the device; memory is bounded.

Neither logits nor scores of the whole pool exist at once: each batch is scored, merged
with the best so far, and dropped.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.prediction_view import (
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer import Scorer, check_scores
from fedask.client.learning.selection.best_scores import BestScores
from fedask.client.records.pool import Pool
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import Uid

MakeView = Callable[[NDArray[np.str_], NDArray[Any]], PredictionView]

# Large enough to keep a core busy with a tiny model, small enough for any device: the
# layers of a network may hold some ten times the numbers that go in.
BATCH_SAMPLES = 4096
BATCH_NUMBERS = 1 << 20


def score_pool(
    pool: Pool,
    exclude: Collection[Uid],
    look: MakeView,
    scorer: Scorer,
    context: ScoringContext,
    *,
    keep: int,
) -> Scored:
    """Score every sample but the excluded ones and keep the best.

    Parameters
    ----------
    pool
        The device's samples.
    exclude
        Uids not to score: those in the queue already.
    look
        Uids (n,) and raw batch (n, ...) -> view.
    scorer
        View -> scores.
    context
        Given to the scorer.
    keep
        How many of the best to return.

    Returns
    -------
    Scored
        At most ``keep`` samples, best first; group = that of the view, or the predicted
        class. The result does not depend on the order of the pool.

    Raises
    ------
    ConfigError
        If the scorer gives NaN, a score outside [0, 1] or a wrong length.
    """
    best = BestScores(keep)
    for uids, raw in pool.batches(exclude, BATCH_SAMPLES, BATCH_NUMBERS):
        view = look(uids, raw)
        # As they are kept: a cut must find each score in the bin it was counted in.
        scores = np.asarray(scorer(view, context), dtype=np.float32)
        check_scores(type(scorer).__name__, scores, len(uids))
        best.add(uids, scores, partial(_group_of, view))
    return best.result()


def _group_of(view: PredictionView, rows: NDArray[np.int64]) -> IntArray:
    if len(view.groups):
        return view.groups[rows]
    classes: IntArray = view.probs[rows].argmax(axis=1)
    return classes
