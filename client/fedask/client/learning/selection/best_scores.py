"""Scores the pool in one streaming pass. Called by the device; memory is bounded.

Neither logits nor scores of the whole pool exist at once: each batch is scored and
compared with the worst sample that is held; only what may still belong to the best is
kept, and nothing is sorted before the end.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
    check_scores,
)
from fedask.client.records.pool import Pool
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import Uid
from fedask.common.user_code import user_code

GroupOf = Callable[[NDArray[np.int64]], IntArray]
MakeView = Callable[[NDArray[np.str_], NDArray[Any]], PredictionView]

# Large enough to keep a core busy with a tiny model, small enough for any device: the
# layers of a network may hold some ten times the numbers that go in.
BATCH_SAMPLES = 4096
BATCH_NUMBERS = 1 << 20

_MIN_ROOM = 512  # rows; choosing again sooner costs more than it saves
_PIECE = 16_384  # rows; what a batch in the worst order may have copied at once


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
    exclude
        Uids not to score: those in the queue already.
    look
        Uids (n,) and raw batch (n, ...) -> view.
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
        If the scorer fails, gives NaN, a score outside [0, 1] or a wrong length.
    """
    best = BestScores(keep)
    for uids, raw in pool.batches(exclude, BATCH_SAMPLES, BATCH_NUMBERS):
        view = look(uids, raw)
        # As they are kept: a cut must find each score in the bin it was counted in.
        name = getattr(scorer, "name", type(scorer).__name__)
        with user_code(f"the scorer {name!r}", scorer):
            scores = np.asarray(scorer(view, context), dtype=np.float32)
        check_scores(name, scores, len(uids))
        best.add(uids, scores, partial(_group_of, view))
    return best.result()


def _group_of(view: PredictionView, rows: NDArray[np.int64]) -> IntArray:
    if len(view.groups):
        return view.groups[rows]
    classes: IntArray = view.probs[rows].argmax(axis=1)
    return classes


class BestScores:
    """A running top k: best score first, ties by uid.

    The result depends neither on the order of the samples nor on the batches. Time is
    linear in the samples: choosing again costs O(k) and happens once per k samples that
    pass, and those that pass get ever fewer.

    Parameters
    ----------
    keep
        How many to keep, k; not negative.

    Examples
    --------
    >>> best = BestScores(2)
    >>> scores = np.array([0.3, 0.9, 0.5], dtype=np.float32)
    >>> best.add(np.array(["a", "b", "c"]), scores, lambda rows: rows)
    >>> best.result().uids
    array(['b', 'c'], dtype='<U1')
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._room = max(keep, _MIN_ROOM)  # rows that may wait beside those held
        none = np.zeros(0, dtype=np.int64)
        self._parts = [Scored(np.zeros(0, np.str_), np.zeros(0, np.float32), none)]
        self._count = 0  # rows held and waiting
        self._seen = 0  # rows that came, or a few more
        self._worst: tuple[np.float32, str] | None = None  # of k held

    def add(self, uids: NDArray[np.str_], scores: Floats, group_of: GroupOf) -> None:
        """Take in a batch.

        Parameters
        ----------
        uids
            (n,) str, different from all before.
        scores
            (n,) float32, finite.
        group_of
            Gives the groups (m,) int64 of the rows (m,) of this batch that it is asked
            for: of most samples nobody needs to know.
        """
        if self._keep == 0:
            return
        start = 0
        while start < len(scores):
            # In pieces as long as all before, so that about k of each may pass: the
            # short ones raise the bar for the long ones.
            size = max(self._room, min(self._seen, _PIECE))
            piece = slice(start, start + size)
            rows = self._passing(uids[piece], scores[piece]) + start
            if len(rows):
                self._parts.append(Scored(uids[rows], scores[rows], group_of(rows)))
                self._count += len(rows)
                room = 0 if self._worst is None else self._room
                if self._count >= self._keep + room:
                    self._choose()
            start += size
            self._seen += size

    def result(self) -> Scored:
        """Return the best so far, at most k."""
        self._parts = [_joined(self._parts)]
        (held,) = self._parts
        return Scored.ranked(held.uids, held.scores, held.groups, limit=self._keep)

    def _passing(self, uids: NDArray[np.str_], scores: Floats) -> NDArray[np.int64]:
        """Return the rows that may belong to the best."""
        if self._worst is None:
            return np.arange(len(scores))
        score, uid = self._worst
        rows = np.flatnonzero(scores >= score)
        if len(rows) == 0:
            return rows
        tied = scores[rows] == score
        if tied.any():
            tied[tied] = uids[rows[tied]] > uid
            rows = rows[~tied]
        return rows

    def _choose(self) -> None:
        """Keep the best k of all that is held."""
        held = _joined(self._parts)
        bar = np.partition(held.scores, -self._keep)[-self._keep]
        rows = np.flatnonzero(held.scores > bar)
        tied = np.flatnonzero(held.scores == bar)
        tied = tied[np.argsort(held.uids[tied])][: self._keep - len(rows)]
        self._worst = bar, str(held.uids[tied[-1]])
        rows = np.concatenate([rows, tied])
        self._parts = [Scored(held.uids[rows], held.scores[rows], held.groups[rows])]
        self._count = self._keep


def _joined(parts: list[Scored]) -> Scored:
    if len(parts) == 1:
        return parts[0]
    return Scored(
        np.concatenate([part.uids for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )
