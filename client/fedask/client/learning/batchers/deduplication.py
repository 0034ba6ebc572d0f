"""Near-duplicates by cosine similarity: left out of a batch, or paired for one answer.

Nobody should be asked the same question twice: burst photographs, re-encoded copies,
overlapping windows of one recording. ``distinct+NAME`` in the configuration leaves them
out before another batcher picks. Pairs in the queue are shown to a person, who may give
one answer to all.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.distance import Reals, blocks, directions
from fedask.client.learning.batchers.batcher import (
    Batcher,
    CheckedBatcher,
    Floats,
    Rows,
    Shortlist,
)
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

_TOGETHER = 512  # rows compared at once: their similarities fill one block
_ROUNDING = 1e-6  # copies have similarity 1 up to here, in float32


class Distinct(CheckedBatcher):
    """Runs another batcher on the rows that ``distinct`` keeps.

    If fewer than ``k`` are kept, the best scores of what was left out fill the batch.
    Without features nothing is left out.

    Parameters
    ----------
    similarity
        Cosine similarity of features above which two samples are one question, above 0
        and up to 1.

    Raises
    ------
    ConfigError
        If the similarity is out of range.
    """

    def __init__(self, inner: Batcher, similarity: float = 0.99) -> None:
        if not 0.0 < similarity <= 1.0:
            raise ConfigError(
                f"similarity {similarity}: must be above 0 and at most 1, where 1 "
                "leaves out copies alone"
            )
        self.inner = inner
        self.similarity = similarity

    @property
    @override
    def needs(self) -> frozenset[str]:
        return self.inner.needs | {"features", "anchors"}

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        kept = distinct(shortlist, self.similarity, k)
        some = shortlist.keep(kept, self.inner.needs)
        return kept[self.inner.pick(some, k, rng)]


def distinct(shortlist: Shortlist, similarity: float, k: int = 0) -> Rows:
    """Return the rows that resemble no better row and no anchor.

    From the best score down, a row is left out if its similarity to an anchor or to a
    row kept before exceeds the threshold: so everything left out has something kept, or
    labelled, that stands for it. A row of zeros has no direction and is always kept.

    Parameters
    ----------
    similarity
        Cosine similarity, above 0; 1 leaves out copies alone, of any length.
    k
        Fewest rows to return, at most n: the best of the others fill up.

    Returns
    -------
    NDArray
        Row numbers, ascending. Time grows with n times the number kept, memory with n.
    """
    features, anchors = shortlist.features, shortlist.anchors
    order = shortlist.best_first()
    kept = np.zeros(len(order), dtype=np.bool_)  # in the order of scores
    for part in blocks(len(order), max(_TOGETHER, features.shape[1])):
        x = _directions(features[order[part]])
        free = np.ones(len(x), dtype=np.bool_)
        if anchors is not None:
            _leave_out(free, x, anchors, np.arange(len(anchors)), similarity)
        _leave_out(free, x, features, order[kept], similarity)
        alike = x @ x.T > similarity - _ROUNDING
        for row in range(len(x)):
            if free[row]:
                free[row + 1 :] &= ~alike[row, row + 1 :]
        kept[part] = free
    missing = max(0, k - int(kept.sum()))
    kept[np.flatnonzero(~kept)[:missing]] = True
    return np.sort(order[kept])


def _leave_out(
    free: NDArray[np.bool_], x: Floats, points: Reals, rows: Rows, similarity: float
) -> None:
    """Clear, in place, what resembles one of some rows of ``points``."""
    for part in blocks(len(rows), max(_TOGETHER, points.shape[1])):
        closest = (x @ _directions(points[rows[part]]).T).max(axis=1)
        free &= closest <= similarity - _ROUNDING


def _directions(points: Reals) -> Floats:
    """Scale rows to length 1; single precision is enough to tell copies."""
    return directions(points).astype(np.float32)


NEAR_SAMPLES = 2048  # compared at most: four million cosines, a second on a phone
_MOST = 8  # partners of a sample, the closest: more do not fit on a screen
_ROUNDING_64 = 1e-9  # of a cosine in float64


def near_pairs(
    uids: NDArray[np.str_], features: Reals, similarity: float
) -> list[tuple[Uid, Uid]]:
    """Return pairs of samples whose features point the same way.

    Parameters
    ----------
    uids
        (n,) str, all different.
    features
        (n, d) float; row i belongs to uids[i]. A row of zeros resembles nothing.
    similarity
        Least cosine of a pair, in (0, 1]; 1 = multiples of each other.

    Returns
    -------
    list
        Each pair once, its smaller uid first, in order. A sample's pairs are its
        closest, ties by uid; the result does not depend on the order of the rows.

    Examples
    --------
    >>> features = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.01]])
    >>> near_pairs(np.array(["a", "b", "c"]), features, similarity=0.99)
    [('a', 'c')]
    """
    order = np.argsort(uids)
    names, x = uids[order].tolist(), directions(features[order])
    pairs = set()
    for part in blocks(len(x), len(x)):
        cosines = x[part] @ x.T
        for row, i in zip(cosines, range(part.start, part.stop), strict=True):
            row[i] = -1.0
            close = np.flatnonzero(row >= similarity - _ROUNDING_64)
            # Rounded: copies must tie, whatever the order of additions was.
            ranks = np.lexsort((close, -np.round(row[close], 9)))
            for j in close[ranks[:_MOST]].tolist():
                pairs.add((Uid(names[min(i, j)]), Uid(names[max(i, j)])))
    return sorted(pairs)
