"""Ask exactly what the cut buys: no diversity. What other batchers fall back to."""

import numpy as np
from typing_extensions import override

from fedask.client.learning.batchers.batcher import (
    Batcher,
    Rows,
    Shortlist,
    check_batch,
)


class Top(Batcher):
    """The accepted samples, then the best of the rest if ``k`` is larger."""

    needs: frozenset[str] = frozenset()

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        return top(shortlist, k)


def top(shortlist: Shortlist, k: int) -> Rows:
    """Return ``k`` rows, ascending: accepted before others, then by score, then row."""
    order = np.lexsort((-shortlist.scores, ~shortlist.accepted))
    return np.sort(order[:k])
