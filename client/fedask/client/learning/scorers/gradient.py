"""Scores by the gradient of the last layer that a label would cause.

Called by scorers that have predictions and features. Never runs a backward pass, and
never builds the (n, c * d) gradients: for a linear last layer under cross entropy the
gradient at label y is ``(p - e_y) x h``, whose norm is a product of two norms.

Squashing: ``x / (1 + x)``, fixed and increasing. The norms have no upper bound, so any
linear map would need the largest value of a batch or pool, which no other device knows.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    check_same_rows,
    chunks,
    row_max,
    row_sum,
    to_unit,
)

# Twice single precision: near a certain prediction ``|p - e_y|`` is the small
# difference of large squares, and its root would make an error of 1e-7 one of 3e-4.
_Block = NDArray[np.float64]


def expected_gradient_length(probs: Reals, features: Reals) -> Scores:
    """Score by the expected Euclidean length of the gradient that a label gives.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one.
    features
        (n, d) what the last layer sees of the same samples; it has a bias.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``x / (1 + x)`` of
        ``x = sum_y p_y |p - e_y| sqrt(|h|^2 + 1)``.

    Raises
    ------
    ConfigError
        If the two do not have the same number of rows.

    References
    ----------
    Settles, Craven and Ray, "Multiple-instance active learning", NIPS 2007.
    Settles and Craven, "An analysis of active learning strategies for sequence labeling
    tasks", EMNLP 2008, section 3.3.
    """
    check_same_rows(probs=probs, features=features)
    scores = np.zeros(len(probs), dtype=np.float32)
    for rows in chunks(len(probs), probs.shape[1] + features.shape[1]):
        p, h = block(probs, rows, np.float64), block(features, rows, np.float64)
        square = row_sum(p * p)[:, None] - p * p + (1.0 - p) ** 2
        length = row_sum(p * np.sqrt(np.maximum(square, 0.0)))
        scores[rows] = _squash(length * np.sqrt(row_sum(h * h) + 1.0))
    return scores


def gradient_norm(probs: Reals, features: Reals) -> Scores:
    """Score by the length of the gradient at the predicted class.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one.
    features
        (n, d) what the last layer sees of the same samples.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``x / (1 + x)`` of ``x = |p - e_top| |h|``.

    Raises
    ------
    ConfigError
        If the two do not have the same number of rows.

    References
    ----------
    Ash et al., "Deep batch active learning by diverse, uncertain gradient lower
    bounds", ICLR 2020, section 3 (the length of a BADGE embedding).
    """
    check_same_rows(probs=probs, features=features)
    scores = np.zeros(len(probs), dtype=np.float32)
    for rows in chunks(len(probs), probs.shape[1] + features.shape[1]):
        p, h = block(probs, rows, np.float64), block(features, rows, np.float64)
        top = row_max(p)
        square = row_sum(p * p) - top**2 + (1.0 - top) ** 2
        scores[rows] = _squash(np.sqrt(np.maximum(square, 0.0) * row_sum(h * h)))
    return scores


def _squash(lengths: _Block) -> Scores:
    return to_unit(lengths / (1.0 + lengths))
