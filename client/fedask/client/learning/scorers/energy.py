"""A score by free energy: high for samples unlike those trained on.

Works on logits, not on probabilities: softmax forgets their height, which is what
tells a known sample from a strange one. A pure function; it never changes its input.
"""

import numpy as np

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    chunks,
    row_max,
    row_sum,
    to_unit,
)


def energy(logits: Reals) -> Scores:
    """Score by free energy ``E = -log sum exp z``, squashed by the logistic function.

    Parameters
    ----------
    logits
        (n, c) float, of any height.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``1 / (1 + exp(-E)) = 1 / (1 + sum exp z)``; 0 when
        there is one class.

    Notes
    -----
    The map is fixed and increasing in E, so the same logits score the same on every
    device. It may be read as the share of one more class whose logit is always 0, "none
    of these". A model that is sure of everything puts all scores close to 0, where bins
    of equal width do not tell them apart: divide such logits by a temperature first.

    References
    ----------
    Liu, Wang, Owens and Li, "Energy-based out-of-distribution detection", NeurIPS 2020,
    section 3.

    Examples
    --------
    >>> energy(np.array([[9.0, 0.0], [0.0, 0.0]])).round(3)  # known, and strange
    array([0.   , 0.333], dtype=float32)
    """
    samples, classes = logits.shape
    scores = np.zeros(samples, dtype=np.float32)
    if classes == 1:
        return scores
    for rows in chunks(samples, classes):
        z = block(logits, rows, np.float32)
        top = row_max(z)
        height = top + np.log(row_sum(np.exp(z - top[:, None])))
        # exp of minus the magnitude cannot overflow, whichever sign the height has.
        small = np.exp(-np.abs(height))
        scores[rows] = to_unit(np.where(height > 0, small, 1.0) / (1.0 + small))
    return scores
