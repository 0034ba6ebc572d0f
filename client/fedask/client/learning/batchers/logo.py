"""LoGo: the local model measures diversity, the global model uncertainty.

Step one, local: k-means with k clusters over ``(1 - p_max) * h``, the block of the
last-layer gradient that belongs to the predicted class. Step two, global: from each
cluster the highest score.

References
----------
Kim et al., "Re-thinking federated active learning based on inter-class diversity",
CVPR 2023 (LoGo).
"""

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


class Logo(Batcher):
    """The highest global score of each of k clusters of local gradients.

    If clusters stay empty, every other cluster gives its second, and so on, in the
    order of scores. Without a local model the current one takes its place; without
    features it is ``top``.
    """

    needs = frozenset({"features", "probs", "local_features", "local_probs"})

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        features, probs = shortlist.local_features, shortlist.local_probs
        if features is None or probs is None:
            features, probs = shortlist.features, shortlist.probs
        if k in {0, len(shortlist)} or 0 in features.shape + probs.shape:
            return top(shortlist, k)
        doubt = 1.0 - probs.max(axis=1, keepdims=True).astype(np.float32)
        cell = kmeans(doubt * features, k, rng)
        order = shortlist.best_first()
        return np.sort(in_turn(cell, order, size_first=False)[:k])
