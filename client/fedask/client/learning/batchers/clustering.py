"""Batches from k-means cells: ``cluster``, ``cluster-margin`` and ``logo``.

Bounded: never more than a block of distances at once, and a fixed number of passes.
"""

from math import ceil

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import Doubles, Reals, blocks
from fedask.client.learning.batchers.batcher import CheckedBatcher, Rows, Shortlist
from fedask.client.learning.batchers.k_means_plus_plus import spread

_PASSES = 10  # over a shortlist the cells have all but settled by then


def kmeans(points: Reals, k: int, rng: np.random.Generator) -> Rows:
    """Assign points to k cells: Lloyd's passes from D-squared seeds, row 0 the first.

    Parameters
    ----------
    points
        (n, d) float, n at least 1.
    k
        Number of cells, 1 to n; fewer are used when points coincide.

    Returns
    -------
    NDArray
        (n,) cell of each point, in [0, k).

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information
    Theory 1982.
    """
    centres = points[spread(points, k, rng)].astype(np.float64)
    cell = np.full(len(points), -1)
    for _ in range(_PASSES):
        nearest, sums = _assign(points, centres)
        if np.array_equal(nearest, cell):
            break
        cell = nearest
        sizes = np.bincount(cell, minlength=len(centres))
        used = sizes > 0  # the centre of an empty cell stays
        centres[used] = sums[used] / sizes[used, None]
    return cell


def _assign(points: Reals, centres: Doubles) -> tuple[Rows, Doubles]:
    """Return the nearest centre of each point, and the sum of the points of each."""
    # |x|^2 is the same for every centre and may be left out.
    half_norms = 0.5 * np.einsum("ij,ij->i", centres, centres)
    nearest = np.empty(len(points), dtype=np.int64)
    sums = np.zeros_like(centres)
    for part in blocks(len(points), max(centres.shape)):
        x = points[part].astype(np.float64)
        closeness = x @ centres.T
        closeness -= half_norms
        cell = closeness.argmax(axis=1)
        nearest[part] = cell
        order = np.argsort(cell, kind="stable")
        starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
        sums[cell[order[starts]]] += np.add.reduceat(x[order], starts)
    return nearest, sums


def in_turn(cell: Rows, order: Rows, size_first: bool) -> Rows:
    """Arrange rows so that every cell gives one, then every cell its second, and so on.

    Parameters
    ----------
    cell
        (n,) cell of each row.
    order
        (n,) rows in the order in which they leave their own cell.
    size_first
        Whether smaller cells come first in each turn; else, and between cells of the
        same size, the cell whose row comes first in ``order``.

    Returns
    -------
    NDArray
        (n,) the rows, arranged.

    Examples
    --------
    >>> cell = np.array([0, 0, 0, 1, 1, 2])
    >>> in_turn(cell, np.arange(6), size_first=False)
    array([0, 3, 5, 1, 4, 2])
    >>> in_turn(cell, np.arange(6), size_first=True)
    array([5, 3, 0, 4, 1, 2])
    """
    n = len(cell)
    ordered = cell[order]
    by_cell = np.argsort(ordered, kind="stable")
    sizes = np.bincount(ordered)
    starts = np.cumsum(sizes) - sizes
    turn = np.empty(n, dtype=np.int64)
    turn[by_cell] = np.arange(n) - starts[ordered[by_cell]]
    size = sizes[ordered] if size_first else np.zeros(n, dtype=np.int64)
    return order[np.lexsort((size, turn))]


class Cluster(CheckedBatcher):
    """The best score of each of k k-means clusters over the features.

    Clusters that stay empty are replaced by the best other samples. Without features it
    is ``top``.
    """

    needs = required = frozenset({"features"})

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        order = shortlist.best_first()
        cell = kmeans(shortlist.features, k, rng)
        _, best = np.unique(cell[order], return_index=True)
        return shortlist.filled(order[best], k)


class ClusterMargin(CheckedBatcher):
    """A random sample of each cell in turn, from the smallest cell to the largest.

    Without features it is ``top``.

    The paper clusters the pool once by hierarchical agglomerative clustering, takes the
    least certain samples, and draws one at random from each of their clusters, smallest
    cluster first, until the batch is full. Here the least certain samples are the
    shortlist, and k-means cells over it stand for the clusters: the hierarchy takes
    n * n memory.

    Parameters
    ----------
    per_cell
        The shortlist is cut into ``k / per_cell`` cells; with 1 it would differ from
        ``cluster`` only by taking any sample of a cell instead of the best.

    References
    ----------
    Citovsky et al., "Batch active learning at scale", NeurIPS 2021 (Cluster-Margin).
    """

    needs = required = frozenset({"features"})

    def __init__(self, per_cell: float = 2.0) -> None:
        self.per_cell = per_cell

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        cell = kmeans(shortlist.features, ceil(k / self.per_cell), rng)
        order = rng.permutation(len(shortlist))
        return in_turn(cell, order, size_first=True)[:k]


class Logo(CheckedBatcher):
    """The highest global score of each of k clusters of local gradients.

    The device's own model measures diversity, the global model uncertainty: k-means
    with k clusters over ``(1 - p_max) * h``, the block of the last-layer gradient that
    belongs to the predicted class, by the local model; then from each cluster the
    highest score.

    If clusters stay empty, every other cluster gives its second, and so on, in the
    order of scores. Without a local model the current one takes its place; without
    features it is ``top``.

    References
    ----------
    Kim et al., "Re-thinking federated active learning based on inter-class diversity",
    CVPR 2023 (LoGo).
    """

    required = frozenset({"features", "probs"})
    needs = required | {"local_features", "local_probs"}

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        features, probs = shortlist.local_features, shortlist.local_probs
        if features is None or probs is None or 0 in features.shape + probs.shape:
            features, probs = shortlist.features, shortlist.probs
        doubt = 1.0 - probs.max(axis=1, keepdims=True).astype(np.float32)
        cell = kmeans(doubt * features, k, rng)
        order = shortlist.best_first()
        return in_turn(cell, order, size_first=False)[:k]
