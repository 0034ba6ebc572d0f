"""A score by the expected cost of a wrong decision.

Called by scorers. A pure function on predictions and a cost matrix from the
configuration; it never changes them. With all mistakes equally bad it is least
confidence.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    chunks,
    to_unit,
)
from fedask.common.errors import ConfigError

_FRACTION_BITS = 26  # of probabilities and costs: their products keep 53 exactly


def consequence(probs: Reals, costs: Reals) -> Scores:
    """Score by the expected cost of the best decision (Bayes risk).

    Parameters
    ----------
    probs
        (n, c) rows that sum to one; best calibrated first.
    costs
        (c, c) float, ``costs[true, decided] >= 0`` in any unit, diagonal 0.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``min_j sum_i p_i costs[i, j]``, over
        ``min_j max_i costs[i, j]``; 0 when there is one class.

    Raises
    ------
    ConfigError
        If the matrix has the wrong shape, a cost that is negative, NaN or infinite, a
        diagonal other than 0, or a decision that never costs anything (all zero, for
        one).

    Notes
    -----
    The divisor is what the most cautious constant decision costs at worst. No
    prediction has a higher risk, since that decision is always to be had, and it is
    known from the matrix alone, so scores compare over the fleet. It is 1 when all
    mistakes cost 1: the score then is ``1 - max p``. Dividing by the largest cost
    would be as valid but would press all scores towards 0 when one mistake is far worse
    than the rest.

    Probabilities and costs are rounded to ``2**-26`` of their largest value, so that
    the matrix product is exact and a row gives the same bits in every batch.

    References
    ----------
    Elkan, "The foundations of cost-sensitive learning", IJCAI 2001, section 1.
    Margineantu, "Active cost-sensitive learning", IJCAI 2005.

    Examples
    --------
    To overlook a tumour costs ten times as much as a false alarm:

    >>> costs = np.array([[0.0, 1.0], [10.0, 0.0]])  # [true, decided]
    >>> consequence(np.array([[0.95, 0.05], [0.05, 0.95]]), costs).round(2)
    array([0.5 , 0.05], dtype=float32)
    """
    classes = probs.shape[1]
    worst = _worst_of_most_cautious(costs, classes)
    scores = np.zeros(len(probs), dtype=np.float32)
    if classes == 1:
        return scores
    one = float(2**_FRACTION_BITS)
    top = float(costs.max())
    whole = np.rint(costs.astype(np.float64) * (one / top))
    unit = top / worst / one**2
    for rows in chunks(len(probs), classes):
        p = np.rint(block(probs, rows, np.float64) * one)
        scores[rows] = to_unit((p @ whole).min(axis=1) * unit)
    return scores


def _worst_of_most_cautious(costs: Reals, classes: int) -> float:
    """Return ``min_j max_i costs[i, j]`` after checking the matrix."""
    if costs.shape != (classes, classes):
        raise ConfigError(
            f"the cost matrix must be {(classes, classes)}, got {costs.shape}"
        )
    bad: NDArray[np.bool_] = ~(np.isfinite(costs) & (costs >= 0))
    bad |= np.eye(classes, dtype=np.bool_) & (costs != 0)
    if bool(bad.any()):
        true, decided = np.argwhere(bad)[0].tolist()
        raise ConfigError(
            f"cost of deciding {decided} when {true} is true is "
            f"{costs[true, decided]}: costs must be finite and at least 0, and 0 for "
            "a right decision"
        )
    worst = costs.max(axis=0)
    if classes > 1 and not bool((worst > 0).all()):
        raise ConfigError(
            f"deciding {int(worst.argmin())} never costs anything, so that no label is "
            "worth asking: give it a cost where another class is true"
        )
    return float(worst.min())
