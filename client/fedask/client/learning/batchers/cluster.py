"""One question per cluster of the shortlist, the least certain of each."""

import numpy as np
from typing_extensions import override

from fedask.client.learning.batchers.batcher import (
    Batcher,
    Rows,
    Shortlist,
    check_batch,
)
from fedask.client.learning.batchers.k_means import kmeans
from fedask.client.learning.batchers.k_means_plus_plus import filled
from fedask.client.learning.batchers.top_scores import top


class Cluster(Batcher):
    """The best score of each of k k-means clusters over the features.

    Clusters that stay empty leave room for the best of the rest. Without features it
    is ``top``.
    """

    needs = frozenset({"features"})

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        if k in {0, len(shortlist)} or shortlist.features.shape[1] == 0:
            return top(shortlist, k)
        order = shortlist.best_first()
        cell = kmeans(shortlist.features, k, rng)
        _, best = np.unique(cell[order], return_index=True)
        return filled(order[best], shortlist, k)
