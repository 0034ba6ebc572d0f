"""k-means++ in the space of last-layer gradients: uncertain and diverse at once.

The gradient of the loss at the predicted class is ``g = (p - onehot(argmax p)) x h``
with h the feature. Its inner products factor, so the (n, c * d) matrix is never built.

References
----------
Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds",
ICLR 2020 (BADGE), algorithm 1.
"""

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import DistanceBlock, blocks
from fedask.client.learning.batchers.batcher import (
    Batcher,
    Floats,
    Rows,
    Shortlist,
    check_batch,
)
from fedask.client.learning.batchers.seeding import spread
from fedask.client.learning.batchers.top_scores import top


class KmeansPlusPlus(Batcher):
    """D-squared sampling of gradients; the largest gradient first.

    Copies of a chosen sample are at distance 0 and come only when nothing else is
    left, the best score first. Without features or predictions it is ``top``.
    """

    needs = frozenset({"features", "probs"})

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        features, probs = shortlist.features, shortlist.probs
        if k in {0, len(shortlist)} or 0 in features.shape + probs.shape:
            return top(shortlist, k)
        a = residuals(probs)
        first = largest(features, a)
        rows = spread(features, k, rng, first=first, weights=a)
        return filled(rows, shortlist, k)


def residuals(probs: Floats) -> Floats:
    """Return ``p - onehot(argmax p)``: (n, c) float32."""
    a = probs.astype(np.float32)
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1.0
    return a


def largest(features: Floats, weights: Floats) -> int:
    """Return the row whose outer product is longest; of several, the lowest."""
    norms = np.concatenate(
        [
            DistanceBlock.of(features[part], weights[part]).norms
            for part in blocks(len(features), features.shape[1])
        ]
    )
    return int(norms.argmax())


def filled(rows: Rows, shortlist: Shortlist, k: int) -> Rows:
    """Return ``rows`` and as many of the best others as make ``k``, ascending."""
    order = shortlist.best_first()
    rest = order[~np.isin(order, rows)]
    return np.sort(np.concatenate([rows, rest[: k - len(rows)]]))
