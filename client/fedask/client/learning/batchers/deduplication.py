"""Leave near-duplicates out of a shortlist, then let another batcher pick.

Nobody should be asked the same question twice: burst photographs, re-encoded copies,
overlapping windows of one recording. Named ``distinct+NAME`` in the configuration.
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
