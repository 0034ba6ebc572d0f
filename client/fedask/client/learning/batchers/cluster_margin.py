"""Uncertain samples from cells in turn, the smallest cells first: rare kinds are heard.

The paper clusters the pool once by hierarchical agglomerative clustering, takes the
least certain samples, and draws one at random from each of their clusters, smallest
cluster first, until the batch is full. Here the least certain samples are the
shortlist, and k-means cells over it stand for the clusters: the hierarchy takes n * n
memory.

References
----------
Citovsky et al., "Batch active learning at scale", NeurIPS 2021 (Cluster-Margin).
"""

from math import ceil

import numpy as np
from typing_extensions import override

from fedask.client.learning.batchers.batcher import (
    Batcher,
    Rows,
    Shortlist,
    check_batch,
)
from fedask.client.learning.batchers.k_means import in_turn, kmeans
from fedask.client.learning.batchers.top_scores import top


class ClusterMargin(Batcher):
    """A random sample of each cell in turn, from the smallest cell to the largest.

    Without features it is ``top``.

    Parameters
    ----------
    per_cell
        The shortlist is cut into ``k / per_cell`` cells; with 1 it would differ from
        ``cluster`` only by taking any sample of a cell instead of the best.
    """

    needs = frozenset({"features"})

    def __init__(self, per_cell: float = 2.0) -> None:
        self.per_cell = per_cell

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        if k in {0, len(shortlist)} or shortlist.features.shape[1] == 0:
            return top(shortlist, k)
        cell = kmeans(shortlist.features, ceil(k / self.per_cell), rng)
        order = rng.permutation(len(shortlist))
        return np.sort(in_turn(cell, order, size_first=True)[:k])
