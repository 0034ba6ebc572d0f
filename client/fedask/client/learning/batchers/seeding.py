"""D-squared sampling: rows far from each other. Called by k-means and ``kmeans++``.

Each next row is drawn with probability in proportion to its squared distance from the
nearest row chosen so far (k-means++). The distances of all rows are brought up to date
rarely: a row is drawn by its old distance and kept with probability new / old, else
drawn again. Distances only shrink, so this is the same distribution, exactly.

References
----------
Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007,
section 2.2.
"""

import numpy as np

from fedask.client.base.distance import Chosen, DistanceBlock, Doubles, Reals, blocks
from fedask.client.learning.batchers.batcher import Rows

_DRAW = 2**20  # a draw in vain costs about as much as so many products of numbers


def spread(
    features: Reals,
    k: int,
    rng: np.random.Generator,
    *,
    first: int = 0,
    weights: Reals | None = None,
) -> Rows:
    """Choose rows in the order of drawing.

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
