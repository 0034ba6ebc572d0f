"""One question per cluster of the shortlist, the least certain of each.

k-means with k clusters over the features of the shortlist (Lloyd 1982, seeded by
k-means++, Arthur and Vassilvitskii, SODA 2007); from each cluster the sample with the
highest score. The shortlist is a few times k, so the cost is negligible beside one
training step.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.batchers.batcher import Batcher, Shortlist

_ITERATIONS = 10  # the assignment of so few points settles sooner


class Cluster(Batcher):
    """The best score of each of k clusters."""

    needs_model = True

    @override
    def pick(
        self, shortlist: Shortlist, k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        if k >= len(shortlist):
            return np.arange(len(shortlist))
        if k == 0:
            return np.zeros(0, dtype=np.int64)
        cluster = kmeans(shortlist.features.astype(np.float64), k, rng)
        # Rows are best first, so the first row of a cluster is its least certain one.
        _, first = np.unique(cluster, return_index=True)
        chosen = first.tolist()
        # Empty clusters leave room: fill it with the best rows not chosen yet.
        rest = np.setdiff1d(np.arange(len(shortlist)), first)
        chosen += rest[: k - len(chosen)].tolist()
        return np.sort(np.array(chosen, dtype=np.int64))


def kmeans(
    points: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign points to k clusters.

    Parameters
    ----------
    points
        (n, d), ``k <= n``.
    k
        Number of clusters; fewer are used when points coincide.

    Returns
    -------
    NDArray
        (n,) cluster of each point, in [0, k).
    """
    centres = points[spread(points, k, rng)]
    cluster = np.zeros(len(points), dtype=np.int64)
    for _ in range(_ITERATIONS):
        # |x|^2 is the same for every centre and may be left out.
        nearest = ((centres * centres).sum(axis=1) - 2.0 * points @ centres.T).argmin(1)
        if np.array_equal(nearest, cluster):
            break
        cluster = nearest
        sums = np.zeros_like(centres)
        np.add.at(sums, cluster, points)
        sizes = np.bincount(cluster, minlength=len(centres))
        used = sizes > 0
        centres[used] = sums[used] / sizes[used, None]
    return cluster


def spread(
    points: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose rows far from each other: k-means++ seeding, starting with row 0.

    Returns
    -------
    NDArray
        At most (k,) different rows; fewer when all others coincide with a chosen one.
    """
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(axis=1)
    while len(chosen) < k and distance.sum() > 0.0:
        reach = np.cumsum(distance)
        row = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        row = min(row, len(points) - 1)
        chosen.append(row)
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    return np.array(chosen, dtype=np.int64)
