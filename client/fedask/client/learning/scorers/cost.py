"""Value per money or second. Called by scorers whose questions differ in price.

A pure function on scores and prices; it never changes them.
"""

import math

import numpy as np

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    check_same_rows,
    chunks,
    to_unit,
)
from fedask.common.errors import ConfigError


def per_cost(scores: Reals, costs: Reals, unit: float) -> Scores:
    """Scale scores down for questions dearer than ``unit``.

    Parameters
    ----------
    scores
        (n,) in [0, 1].
    costs
        (n,) > 0, what each answer costs: money or seconds of a person.
    unit
        > 0, in the same unit, the same for the whole fleet: what is cheap enough not
        to count. Choose a low price, for among questions at or below it only the score
        decides, and above it score per cost does.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``score * min(1, unit / cost)``; rises with the score,
        never rises with the cost.

    Raises
    ------
    ConfigError
        If lengths differ, the unit is not above 0, or a cost is 0, negative or NaN (the
        row is named).

    References
    ----------
    Settles, Craven and Friedland, "Active learning with real annotation costs", NIPS
    2008 workshop on cost-sensitive learning.
    """
    check_same_rows(scores=scores, costs=costs)
    if not 0 < unit < math.inf:
        msg = f"the unit of cost must be above 0 and finite, got {unit}"
        raise ConfigError(msg)
    scaled = np.zeros(len(scores), dtype=np.float32)
    for rows in chunks(len(scores), 1):
        cost = costs[rows].astype(np.float64)
        bad = np.flatnonzero(~(cost > 0))
        if len(bad):
            row = rows.start + int(bad[0])
            msg = f"the cost of row {row} is {costs[row]}: every answer costs something"
            raise ConfigError(msg)
        scaled[rows] = to_unit(scores[rows] * np.minimum(1.0, unit / cost))
    return scaled
