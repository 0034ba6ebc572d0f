"""Finds near-duplicates, so that a person may give one answer to all of them.

Called by the rater of a device after it has scored, never on its own.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.distance import Reals, blocks, directions
from fedask.common.ids import Uid

NEAR_SAMPLES = 2048  # compared at most: four million cosines, a second on a phone
_MOST = 8  # partners of a sample, the closest: more do not fit on a screen
_ROUNDING = 1e-9  # of a cosine in float64


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
            close = np.flatnonzero(row >= similarity - _ROUNDING)
            # Rounded: copies must tie, whatever the order of additions was.
            ranks = np.lexsort((close, -np.round(row[close], 9)))
            for j in close[ranks[:_MOST]].tolist():
                pairs.add((Uid(names[min(i, j)]), Uid(names[max(i, j)])))
    return sorted(pairs)
