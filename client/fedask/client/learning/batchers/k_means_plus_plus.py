"""k-means++: D-squared sampling, of features and of last-layer gradients.

Each next row is drawn with probability in proportion to its squared distance from the
nearest row chosen so far. Distances are brought up to date rarely: a row
is drawn by its old distance and kept with probability new / old, else drawn again.
Distances only shrink, so this is the same distribution, exactly.

The gradient of the loss at the predicted class is ``g = (p - onehot(argmax p)) x h``
with h the feature. Its inner products factor, so the (n, c * d) matrix is never built.

References
----------
Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007,
section 2.2.
Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds",
ICLR 2020 (BADGE), algorithm 1.
"""

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import Chosen, DistanceBlock, Doubles, Reals, blocks
from fedask.client.learning.batchers.batcher import (
    CheckedBatcher,
    Floats,
    Rows,
    Shortlist,
)

_DRAW = 2**20  # a draw in vain costs about as much as so many products of numbers


def spread(
    features: Reals,
    k: int,
    rng: np.random.Generator,
    *,
    first: int = 0,
    weights: Reals | None = None,
) -> Rows:
    """Draw rows, each far from those before, in the order of drawing.

    Parameters
    ----------
    features
        (n, d) float, n and k at least 1.
    k
        Most rows to choose.
    first
        The row to begin with.
    weights
        (n, c) float: the points are outer products of weights and features.

    Returns
    -------
    NDArray
        At most (k,) different rows; fewer when all others coincide with a chosen one.
    """
    n = len(features)
    chosen = Chosen(k, features.shape[1], 0 if weights is None else weights.shape[1])
    chosen.add(_points(features, weights, slice(first, first + 1)))
    rows = [first]
    nearest = np.full(n, np.inf)
    cost = features.size / _DRAW  # of one more chosen row for all, in draws
    seen, wasted, reach = 0, 0, nearest
    while len(rows) < k:
        # Each of the two ways to lose time gets the same share of it.
        if seen == 0 or (wasted and wasted >= (len(rows) - seen) * cost):
            _approach(nearest, features, weights, chosen.since(seen))
            seen, wasted, reach = len(rows), 0, np.cumsum(nearest)
            if reach[-1] == 0.0:
                break
        row = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        row = min(row, n - 1)  # the product may round up to the end
        point = _points(features, weights, slice(row, row + 1))
        fresh = point.gaps(chosen.since(seen)).min(initial=nearest[row])
        if rng.random() * nearest[row] < fresh:
            chosen.add(point)
            rows.append(row)
        else:
            wasted += 1
    return np.array(rows, dtype=np.int64)


def _approach(
    nearest: Doubles, features: Reals, weights: Reals | None, chosen: DistanceBlock
) -> None:
    """Lower, in place, the squared distances by those to newly chosen points."""
    width = max(len(chosen), features.shape[1])
    for part in blocks(len(nearest), width):
        gaps = _points(features, weights, part).gaps(chosen)
        closest = gaps.min(axis=1, initial=np.inf)
        np.minimum(nearest[part], closest, out=nearest[part])


def _points(features: Reals, weights: Reals | None, part: slice) -> DistanceBlock:
    return DistanceBlock.of(features[part], None if weights is None else weights[part])


class KmeansPlusPlus(CheckedBatcher):
    """D-squared sampling of gradients; the largest gradient first.

    Copies of a chosen sample are at distance 0 and come only when nothing else is
    left, the best score first. Without features or predictions it is ``top``.
    """

    needs = required = frozenset({"features", "probs"})

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        features, probs = shortlist.features, shortlist.probs
        a = residuals(probs)
        first = largest(features, a)
        rows = spread(features, k, rng, first=first, weights=a)
        return shortlist.filled(rows, k)


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
