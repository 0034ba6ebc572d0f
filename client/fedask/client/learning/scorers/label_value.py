"""What a label is likely to be worth, learnt from what past labels were worth.

"Ask an internal oracle first": a small regression on the device from descriptors of a
sample (its scores by several scorers, computed elsewhere) to the gain that was measured
after its label came. Called by the device; never measures a gain. Pure functions.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    chunks,
    row_sum,
    to_unit,
)
from fedask.common.errors import ConfigError, DataError

FEWEST_GAINS = 8  # fewer and the mean of the descriptors is the better guess


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeights:
    """A fitted value, plain numbers throughout.

    Parameters
    ----------
    weights
        One per descriptor, in units of gain.
    intercept
        The gain expected of a sample whose descriptors are 0, in units of gain.
    learnt
        False while there were too few gains: the mean of the descriptors is used.
    """

    weights: tuple[float, ...]
    intercept: float
    learnt: bool


def fit_value(
    descriptors: Reals, gains: Reals, strength: float, unit: float = 1.0
) -> ValueWeights:
    """Fit gains by ridge regression, in closed form.

    Parameters
    ----------
    descriptors
        (n, q) float in [0, 1], of samples whose label was used; q is at least 1.
    gains
        (n,) float: what each label brought; may be negative.
    strength
        > 0: the ridge, in labels; the intercept is not shrunk.
    unit
        > 0: the gain that scores 0.73 (logistic of 1), the same for the whole fleet.

    Returns
    -------
    ValueWeights
        Equal weights, not learnt, with fewer than eight gains.

    Raises
    ------
    ConfigError
        If lengths differ, there is no descriptor, or strength or unit is not above 0.
    DataError
        If a descriptor or gain is NaN or infinite.

    References
    ----------
    Konyushkova, Sznitman and Fua, "Learning active learning from data", NeurIPS 2017
    (the idea; there a random forest trained on other data sets).
    Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
    Technometrics 12(1), 1970.
    """
    if descriptors.shape[:1] != gains.shape or descriptors.shape[1] == 0:
        msg = (
            "fitting a value needs a gain and at least one descriptor per sample, got "
            f"shapes {gains.shape} and {descriptors.shape}"
        )
        raise ConfigError(msg)
    if not (0.0 < strength < math.inf and 0.0 < unit < math.inf):
        msg = f"strength and unit must be above 0 and finite: {strength}, {unit}"
        raise ConfigError(msg)
    if not (np.isfinite(descriptors).all() and np.isfinite(gains).all()):
        msg = "a descriptor or a measured gain is NaN or infinite"
        raise DataError(msg)
    count, width = descriptors.shape
    if count < FEWEST_GAINS:
        return ValueWeights(weights=(1.0 / width,) * width, intercept=0.0, learnt=False)
    x, y = descriptors.astype(np.float64), gains.astype(np.float64) / unit
    centre, level = x.mean(axis=0), y.mean()
    x -= centre
    weights = np.linalg.solve(x.T @ x + strength * np.eye(width), x.T @ (y - level))
    return ValueWeights(
        weights=tuple(weights.tolist()),
        intercept=float(level - centre @ weights),
        learnt=True,
    )


def predict_value(weights: ValueWeights, descriptors: Reals) -> Scores:
    """Score by the gain that a label is expected to bring.

    Parameters
    ----------
    weights
        From ``fit_value``.
    descriptors
        (n, q) float in [0, 1], the same descriptors in the same order.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: the logistic function of the expected gain in units of
        gain, so 0.5 is a label without effect. The unit is the fleet's, not the
        device's: a device whose labels bring more asks before others. The mean of the
        descriptors, as it is, while nothing is learnt.

    Raises
    ------
    ConfigError
        If the number of descriptors differs.
    """
    width = len(weights.weights)
    if descriptors.shape[1] != width:
        msg = f"the value was fitted on {width} descriptors, got {descriptors.shape[1]}"
        raise ConfigError(msg)
    slope: NDArray[np.float64] = np.array(weights.weights)
    scores = np.zeros(len(descriptors), dtype=np.float32)
    for rows in chunks(len(descriptors), width):
        gain = row_sum(block(descriptors, rows, np.float64) * slope) + weights.intercept
        # tanh is the logistic function that does not overflow.
        scores[rows] = to_unit(
            0.5 + 0.5 * np.tanh(0.5 * gain) if weights.learnt else gain
        )
    return scores
