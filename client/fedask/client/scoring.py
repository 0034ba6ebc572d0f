"""Scores the pool in one streaming pass. Called by the device; memory is bounded.

Neither logits nor scores of the whole pool exist at once: each batch is scored, merged
with the best so far, and dropped.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.best import Best
from fedask.client.pool import Pool
from fedask.client.scorers.scorer import Scorer, check_scores
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import Uid

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]

# Large enough to keep a core busy with a tiny model, small enough for any device: the
# layers of a network may hold some ten times the numbers that go in.
BATCH_SAMPLES = 4096
BATCH_NUMBERS = 1 << 20


def score_pool(
    pool: Pool,
    exclude: Collection[Uid],
    predict: Predict,
    scorer: Scorer,
    *,
    keep: int,
    salt: int,
) -> Scored:
    """Score every sample but the excluded ones and keep the best.

    Parameters
    ----------
    pool
        The device's samples.
    exclude
        Uids not to score: those in the queue already.
    predict
        Raw batch (n, ...) -> probabilities (n, c) float32.
    scorer
        Probabilities -> scores.
    keep
        How many of the best to return.
    salt
        Given to the scorer.

    Returns
    -------
    Scored
        At most ``keep`` samples, best first; group = predicted class. The result does
        not depend on the order of the pool.

    Raises
    ------
    ConfigError
        If the scorer gives NaN, a score outside [0, 1] or a wrong length.
    """
    best = Best(keep)
    for uids, raw in pool.batches(exclude, BATCH_SAMPLES, BATCH_NUMBERS):
        probs = predict(raw)
        # As they are kept: a cut must find each score in the bin it was counted in.
        scores = np.asarray(scorer(probs, uids, salt), dtype=np.float32)
        check_scores(type(scorer).__name__, scores, len(uids))
        best.add(uids, scores, partial(_predicted, probs))
    return best.result()


def _predicted(probs: NDArray[np.float32], rows: NDArray[np.int64]) -> IntArray:
    classes: IntArray = probs[rows].argmax(axis=1)
    return classes
