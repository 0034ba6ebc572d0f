"""Facility location: the batch that is most similar to all other candidates.

The value of a batch is the sum, over the shortlist, of each sample's similarity to the
nearest that is asked or labelled; it is monotone and submodular, so the greedy batch is
worth at least ``1 - 1/e`` of the best. Similarities below 0 count as 0.

References
----------
Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning",
ICML 2015.
"""

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import Doubles, Reals, blocks, directions
from fedask.client.learning.batchers.batcher import CheckedBatcher, Rows, Shortlist
from fedask.client.learning.batchers.greedy_choice import lazy_greedy

_DIGITS = 9  # gains that agree to here are equal: the better score decides


class FacilityLocation(CheckedBatcher):
    """The batch that represents the best candidates. Without features it is ``top``.

    Parameters
    ----------
    most
        Candidates looked at, the best scores first; at least ``2 * k`` are. Time grows
        with their square, memory with their number.
    """

    required = frozenset({"features"})
    needs = required | {"anchors"}

    def __init__(self, most: int = 2048) -> None:
        self.most = most

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        # Best first, so that ties go to the better score.
        rows = shortlist.best_first()[: max(self.most, 2 * k)]
        x = directions(shortlist.features[rows])
        return rows[facilities(x, shortlist.anchors, k)]


def facilities(x: Doubles, anchors: Reals | None, k: int) -> Rows:
    """Choose ``k`` rows that greedily cover all.

    Parameters
    ----------
    x
        (n, d) rows of length 1, or 0.
    anchors
        (l, d) float, what covers already; None = nothing.

    Returns
    -------
    NDArray
        (k,) different rows in the order of choosing; ties go to the lowest.
    """
    cover = np.zeros(len(x))
    if anchors is not None:
        for part in blocks(len(anchors), len(x)):
            closest = (directions(anchors[part]) @ x.T).max(axis=0)
            np.maximum(cover, closest, out=cover)

    def look(rows: Rows) -> Doubles:
        gains = np.empty(len(rows))
        for part in blocks(len(rows), len(x)):
            more = x[rows[part]] @ x.T
            more -= cover
            gains[part] = np.maximum(more, 0.0, out=more).sum(axis=1)
        return gains.round(_DIGITS)

    def take(row: int) -> None:
        np.maximum(cover, x @ x[row], out=cover)

    return lazy_greedy(look(np.arange(len(x))), k, look, take)
