"""Lazy greedy choice by a gain that only falls as more is chosen. Called by batchers.

For a monotone submodular value the batch is worth at least ``1 - 1/e`` of the best one
(Nemhauser, Wolsey and Fisher, Mathematical Programming 1978). An old gain is an upper
bound, so only rows whose old gain could still win are looked at again (Minoux 1978).
"""

from collections.abc import Callable

import numpy as np

from fedask.client.base.distance import Doubles
from fedask.client.learning.batchers.batcher import Rows

_LOOK = 32  # rows per look: one matrix product, seldom more than needed


def lazy_greedy(
    gains: Doubles,
    k: int,
    look: Callable[[Rows], Doubles],
    take: Callable[[int], None],
) -> Rows:
    """Choose ``k`` rows, each with the largest gain given those before.

    Parameters
    ----------
    gains
        (n,) gain of each row while nothing is chosen, ``k <= n``.
    look
        Rows -> their gains now; never more than before, up to rounding and sampling.
    take
        Called with each chosen row.

    Returns
    -------
    NDArray
        (k,) different rows in the order of choosing; of equal gains the lowest row.
    """
    bound = gains.copy()
    rows = np.empty(k, dtype=np.int64)
    taken = np.zeros(len(bound), dtype=np.bool_)
    fresh = np.ones(len(bound), dtype=np.bool_)
    for number in range(k):
        best = int(bound.argmax())
        while not fresh[best]:
            stale = np.flatnonzero(~fresh)
            if len(stale) > _LOOK:
                stale = stale[np.argpartition(-bound[stale], _LOOK - 1)[:_LOOK]]
            stale = np.union1d(stale, best)
            bound[stale] = look(stale)
            fresh[stale] = True
            best = int(bound.argmax())
        rows[number] = best
        bound[best] = -np.inf
        taken[best] = True
        take(best)
        fresh = taken.copy()
    return rows
