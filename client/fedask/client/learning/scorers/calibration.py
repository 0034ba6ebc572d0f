"""Temperature scaling: makes the confidence of different devices comparable.

Called by the device before it scores, on its own labelled samples; nothing leaves it.
Pure functions of numbers without scipy, which a device does not have.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    block,
    chunks,
    row_max,
    row_sum,
)
from fedask.common.errors import ConfigError, DataError

COLDEST, HOTTEST = 0.05, 20.0
FEWEST_LABELS = 10  # fewer say nothing about confidence: T stays 1

# The pull towards T = 1: log T is taken to be normal with variance 1 / this, which
# weighs as much as about this many labels. Measured on synthetic logits: where they are
# three times too high, 10 labels give T = 1.4 to 1.7 and 100 give 2.2 to 2.7; where
# they are right, a fit to few labels loses less than 0.01 nats a sample.
PRIOR_LABELS = 10.0

_GRID = 25  # the sum of likelihood and prior may have two valleys: look before diving
_NARROW = 1e-6  # width in log T at which the search stops
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def fit_temperature(logits: Reals, labels: NDArray[np.integer]) -> float:
    """Find the temperature under which the labels are likeliest.

    Parameters
    ----------
    logits
        (n, c) float of labelled samples, best of ones the model was not trained on.
        Minus infinity rules a class out; a sample whose own class is ruled out has that
        likelihood at any temperature, and is left out.
    labels
        (n,) int in [0, c).

    Returns
    -------
    float
        In [0.05, 20]; above 1 if the model is too sure. 1.0 with fewer than ten labels
        or labels of one class only.

    Raises
    ------
    ConfigError
        If lengths differ.
    DataError
        If a label is outside [0, c) or a logit is NaN or plus infinity.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML
    2017, section 4.2. The prior is ours: a device has few labels.
    """
    if len(logits) != len(labels):
        raise ConfigError(
            f"{len(logits)} rows of predictions, but {len(labels)} labels"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise DataError(f"a label is outside [0, {logits.shape[1]})")
    if not float(logits.max(initial=-math.inf)) < math.inf:  # NaN fails it, too
        raise DataError(
            "a logit of a labelled sample is NaN or infinite: the model has diverged"
        )
    possible = logits[np.arange(len(labels)), labels] > -math.inf
    logits, labels = logits[possible], labels[possible]
    if len(labels) < FEWEST_LABELS or len(np.unique(labels)) == 1:
        return 1.0

    def loss(log_t: float) -> float:
        prior = 0.5 * PRIOR_LABELS * log_t**2
        return prior + _negative_log_likelihood(logits, labels, math.exp(log_t))

    return math.exp(_lowest(loss, math.log(COLDEST), math.log(HOTTEST)))


def calibrated(logits: Reals, temperature: float) -> NDArray[np.float32]:
    """Turn logits into probabilities at a temperature.

    Parameters
    ----------
    logits
        (n, c) float.
    temperature
        > 0.

    Returns
    -------
    NDArray
        (n, c) float32 ``softmax(logits / T)``; the order of the classes of a row does
        not change.

    Raises
    ------
    ConfigError
        If the temperature is not above 0.
    """
    if not 0.0 < temperature < math.inf:
        raise ConfigError(
            f"the temperature must be above 0 and finite, got {temperature}"
        )
    probs = np.empty(logits.shape, dtype=np.float32)
    for rows in chunks(*logits.shape):
        z = block(logits, rows, np.float32)
        exp = np.exp((z - row_max(z)[:, None]) / np.float32(temperature))
        probs[rows] = exp / row_sum(exp)[:, None]
    return probs


def _negative_log_likelihood(
    logits: Reals, labels: NDArray[np.integer], temperature: float
) -> float:
    """Sum over samples, in nats."""
    total = 0.0
    for rows in chunks(*logits.shape):
        z = block(logits, rows, np.float64)
        z = (z - row_max(z)[:, None]) / temperature
        own = z[np.arange(len(z)), labels[rows]]
        total += float((np.log(row_sum(np.exp(z))) - own).sum())
    return total


def _lowest(loss: Callable[[float], float], low: float, high: float) -> float:
    """Minimise over [low, high]: the best valley of a grid, then golden section."""
    grid: list[float] = np.linspace(low, high, _GRID).tolist()
    best = int(np.argmin([loss(x) for x in grid]))
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    inner = [right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)]
    value = [loss(x) for x in inner]
    while right - left > _NARROW:
        if value[0] <= value[1]:
            right = inner[1]
            inner = [right - _GOLDEN * (right - left), inner[0]]
            value = [loss(inner[0]), value[0]]
        else:
            left = inner[0]
            inner = [inner[1], left + _GOLDEN * (right - left)]
            value = [value[1], loss(inner[1])]
    return (left + right) / 2.0
