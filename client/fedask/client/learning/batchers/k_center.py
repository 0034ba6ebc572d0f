"""Greedy k-center: each pick is the sample farthest from all that is covered already.

The farthest row is found without measuring them all. Distances to the chosen only
shrink, so an old distance is an upper bound: a front of the rows with the largest
bounds is kept up to date, and as long as its best beats every bound outside, it is the
farthest of all. On clustered and on Gaussian data 2 to 8 % of the distances suffice.

References
----------
Sener and Savarese, "Active learning for convolutional neural networks: a core-set
approach", ICLR 2018, algorithm 1; Gonzalez, "Clustering to minimize the maximum
intercluster distance", Theoretical Computer Science 1985: within twice the optimum.
"""

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import Chosen, DistanceBlock, Doubles, Reals, blocks
from fedask.client.learning.batchers.batcher import CheckedBatcher, Rows, Shortlist

_FRONT = 1024  # rows; with 128 features in float64 1 MiB, a core's cache
_TAKEN = -1.0  # below every distance


class KCenter(CheckedBatcher):
    """Farthest first from the labelled samples; ties go to the lowest row.

    Without anchors it starts from the best score. Without features it is ``top``.
    """

    required = frozenset({"features"})
    needs = required | {"anchors"}

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        features, anchors = shortlist.features, shortlist.anchors
        if anchors is None or len(anchors) == 0:
            best = int(shortlist.scores.argmax())
            anchors = features[best : best + 1]
            return farthest_first(features, anchors, k, first=best)
        return farthest_first(features, anchors, k)


def farthest_first(
    features: Reals, anchors: Reals, k: int, *, first: int | None = None
) -> Rows:
    """Choose rows, each as far as possible from the anchors and those before.

    Parameters
    ----------
    features
        (n, d) float.
    anchors
        (l, d) float, at least one.
    k
        At most n.
    first
        A row that is chosen before the others; it must be the only anchor.

    Returns
    -------
    NDArray
        (k,) different rows in the order of choosing.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [4.0], [10.0]])
    >>> farthest_first(points, anchors=np.array([[0.0]]), k=2)
    array([3, 2])
    """
    n, d = features.shape
    chosen = Chosen(len(anchors) + k, d)
    chosen.add(DistanceBlock.of(anchors))
    bound = np.empty(n)  # what the squared distance cannot exceed
    for part in blocks(n, max(len(anchors), d)):
        bound[part] = DistanceBlock.of(features[part]).gaps(chosen.since(0)).min(axis=1)
    rows: list[int] = []
    if first is not None:
        rows.append(first)
        bound[first] = _TAKEN
    seen = np.full(n, len(anchors))  # how many of the chosen the bound knows
    while len(rows) < k:
        front, ahead = _front(bound)
        points = DistanceBlock.of(features[front])
        old = chosen.since(int(seen[front].min()))
        nearest = bound[front]
        for part in blocks(len(front), max(len(old), d)):
            gaps = DistanceBlock(points.features[part], points.norms[part]).gaps(old)
            closer = gaps.min(axis=1, initial=np.inf)
            np.minimum(nearest[part], closer, out=nearest[part])
        rows += _choose(points, nearest, front, ahead, chosen, k - len(rows))
        bound[front] = nearest
        seen[front] = len(chosen)
    return np.array(rows, dtype=np.int64)


def _front(bound: Doubles) -> tuple[Rows, tuple[float, int]]:
    """Return the rows of the largest bounds, ascending, and the best one outside.

    The latter as (bound, lowest row that has it); below every distance if none.
    """
    n = len(bound)
    if n <= _FRONT:
        return np.arange(n), (2 * _TAKEN, n)
    cut = np.partition(bound, n - _FRONT)[n - _FRONT]
    above, level = np.flatnonzero(bound > cut), np.flatnonzero(bound == cut)
    room = _FRONT - len(above)
    front = np.sort(np.concatenate([above, level[:room]]))
    return front, (float(cut), int(level[room]) if room < len(level) else n)


def _choose(
    points: DistanceBlock,
    nearest: Doubles,
    front: Rows,
    ahead: tuple[float, int],
    chosen: Chosen,
    most: int,
) -> list[int]:
    """Choose from the front while its best is surely the best of all rows.

    ``nearest``, the squared distances of the front, is brought up to date in place.
    """
    rows: list[int] = []
    cut, lowest = ahead
    while len(rows) < most:
        best = int(nearest.argmax())  # of equal ones the lowest row
        beaten = nearest[best] < cut or (nearest[best] == cut and front[best] > lowest)
        if beaten:
            break
        part = slice(best, best + 1)
        point = DistanceBlock(points.features[part], points.norms[part])
        chosen.add(point)
        rows.append(int(front[best]))
        np.minimum(nearest, points.gaps(point)[:, 0], out=nearest)
        nearest[best] = _TAKEN
    return rows
