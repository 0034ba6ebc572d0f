"""Scores of position in feature space: typicality, coverage, distance, density.

Called by scorers with features. Compares each row with a bounded sample of the device's
pool, at most a few thousand rows chosen elsewhere by hash, so that time is linear in n
and memory does not grow with it; never builds an n x n matrix and never chooses the
sample.

Squashing: distances have no bound and another unit under every model, so they are
measured in the ``scale`` of the device's own sample, fixed before any row is scored,
and mapped by ``x / (1 + x)``. A score then says "so many times the usual distance",
which compares between devices; a minimum and maximum of a batch would not.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.distance import fix, squared_distances
from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    chunks,
    row_sum,
    to_unit,
)
from fedask.common.errors import ConfigError

TYPICAL_NEIGHBOURS = 20  # TypiClust, section 3.1

_FEWEST_SAMPLES = 2  # one for the row itself, one to compare it with


def scale_of(sample: Reals) -> float:
    """Return the usual distance between close samples of this device.

    Parameters
    ----------
    sample
        (m, d) float features.

    Returns
    -------
    float
        The median over the sample of the distance to the nearest different one; 1.0 if
        there are no two different ones.

    Raises
    ------
    DataError
        If a feature is NaN or infinite.
    """
    nearest = np.full(len(sample), np.inf)
    if not len(sample):
        return 1.0
    points = fix(sample)
    for rows, squares in squared_distances(sample, points):
        squares[squares == 0.0] = np.inf
        nearest[rows] = squares.min(axis=1)
    apart = nearest[np.isfinite(nearest)]
    return float(np.median(np.sqrt(apart))) * points.step if len(apart) else 1.0


def typicality(
    features: Reals,
    sample: Reals,
    scale: float,
    neighbours: int = TYPICAL_NEIGHBOURS,
) -> Scores:
    """Score by the inverse mean distance to the nearest samples.

    Parameters
    ----------
    features
        (n, d) float.
    sample
        (m, d) float, rows of the same pool, ``m >= 2``.
    scale
        ``scale_of(sample)``, above 0.
    neighbours
        How many nearest samples count; at most ``m - 1`` do.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``scale / (scale + mean distance)``, which is typicality
        ``t`` (1 / mean distance) mapped by ``t scale / (1 + t scale)``. One sample at
        distance 0 is taken for the row itself and left out, so that a row scores the
        same whether or not it was drawn into the sample.

    Raises
    ------
    ConfigError
        If the sample is smaller than two.
    DataError
        If a feature of the sample is NaN or infinite.

    References
    ----------
    Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit
    high and low budgets", ICML 2022, section 3 (TypiClust).
    """
    if len(sample) < _FEWEST_SAMPLES:
        raise ConfigError(
            f"typicality needs a sample of at least 2 rows, got {len(sample)}"
        )
    points = fix(sample, scale)
    count = min(neighbours, len(sample) - 1)
    scores = np.zeros(len(features), dtype=np.float32)
    for rows, squares in squared_distances(features, points):
        squares.partition(count, axis=1)
        near = np.sort(squares[:, : count + 1], axis=1)
        itself = near[:, :1] == 0.0
        near = np.where(itself, near[:, 1:], near[:, :-1])
        mean = row_sum(np.sqrt(near)) * (points.step / count)
        scores[rows] = to_unit(scale / (scale + mean))
    return scores


def coverage(features: Reals, sample: Reals, labelled: Reals, radius: float) -> Scores:
    """Score by how much of the pool one more label would cover.

    Parameters
    ----------
    features
        (n, d) float.
    sample
        (m, d) float, rows of the same pool.
    labelled
        (l, d) float, what has a label already; ``l`` may be 0.
    radius
        > 0: a label covers what is at most this far.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: the share of the sample that is within the radius of
        the row and not within the radius of a labelled one. It needs no squashing. The
        share is of the whole sample, so the score is the gain in coverage, and falls to
        0 on a device whose pool is covered.

    Raises
    ------
    DataError
        If a feature of the sample or of a labelled row is NaN or infinite.

    References
    ----------
    Yehuda, Dekel, Hacohen and Weinshall, "Active learning through a covering lens",
    NeurIPS 2022, section 3 (ProbCover).

    Examples
    --------
    >>> pool = np.array([[0.0], [0.1], [0.2], [9.0]])
    >>> coverage(pool, pool, labelled=pool[3:], radius=0.5)
    array([0.75, 0.75, 0.75, 0.  ], dtype=float32)
    """
    scores = np.zeros(len(features), dtype=np.float32)
    uncovered = sample
    if len(sample) and len(labelled):
        open_ = np.zeros(len(sample), dtype=np.bool_)
        known = fix(labelled, radius)
        for rows, squares in squared_distances(sample, known):
            open_[rows] = squares.min(axis=1) > (radius / known.step) ** 2
        uncovered = sample[open_]
    if not len(uncovered):
        return scores
    points = fix(uncovered, radius)
    for rows, squares in squared_distances(features, points):
        within = np.count_nonzero(squares <= (radius / points.step) ** 2, axis=1)
        # NaN is within no radius; it must not pass for a row that covers nothing.
        unknown = np.isnan(squares[:, 0])
        scores[rows] = to_unit(np.where(unknown, np.nan, within / len(sample)))
    return scores


def center_distance(features: Reals, labelled: Reals, scale: float) -> Scores:
    """Score by the distance to the nearest labelled sample.

    Parameters
    ----------
    features
        (n, d) float.
    labelled
        (l, d) float, what has a label already; ``l`` may be 0.
    scale
        ``scale_of(sample)``, above 0.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``x / (1 + x)`` of the distance in units of the scale; 1
        everywhere while there is no label.

    Raises
    ------
    DataError
        If a feature of a labelled row is NaN or infinite.

    References
    ----------
    Sener and Savarese, "Active learning for convolutional neural networks: a core-set
    approach", ICLR 2018, section 4 (the greedy k-center step).
    """
    if not len(labelled):
        return np.ones(len(features), dtype=np.float32)
    points = fix(labelled, scale)
    scores = np.zeros(len(features), dtype=np.float32)
    for rows, squares in squared_distances(features, points):
        distance = np.sqrt(squares.min(axis=1)) * points.step
        scores[rows] = to_unit(distance / (scale + distance))
    return scores


def information_density(features: Reals, sample: Reals, beta: float = 1.0) -> Scores:
    """Score by the mean similarity to the samples of the pool.

    Parameters
    ----------
    features
        (n, d) float.
    sample
        (m, d) float, rows of the same pool, ``m >= 1``.
    beta
        > 0: how much density counts when multiplied with another score.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``((1 + mean cosine) / 2) ** beta``; the cosine with a
        row of zeros is 0. Cosines have bounds, so the map needs no scale.

    Raises
    ------
    ConfigError
        If the sample is empty, or columns differ.

    Notes
    -----
    The mean of the cosines with m samples is one product with the mean of their
    directions: time and memory do not depend on m.

    References
    ----------
    Settles and Craven, "An analysis of active learning strategies for sequence labeling
    tasks", EMNLP 2008, section 3.4.
    """
    if not len(sample) or sample.shape[1] != features.shape[1]:
        raise ConfigError(
            f"information density needs a sample with {features.shape[1]} columns, got "
            f"shape {sample.shape}"
        )
    mean = np.zeros(features.shape[1])
    for rows in chunks(len(sample), sample.shape[1]):
        x = block(sample, rows, np.float64)
        mean += (x / _length(x)[:, None]).sum(axis=0) / len(sample)
    scores = np.zeros(len(features), dtype=np.float32)
    for rows in chunks(len(features), features.shape[1]):
        x = block(features, rows, np.float64)
        cosine = row_sum(x * mean) / _length(x)
        scores[rows] = to_unit(np.clip((1.0 + cosine) / 2.0, 0.0, 1.0) ** beta)
    return scores


def _length(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length of each row, 1 for a row of zeros: (r,)."""
    length = np.sqrt(row_sum(x * x))
    length[length == 0.0] = 1.0
    return length
