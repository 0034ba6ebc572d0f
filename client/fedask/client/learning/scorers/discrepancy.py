"""Scores of difference between the local and the global model.

The local model is the device's own last update, which costs nothing more. Pure
functions on the predictions of the two; none changes its input.

Squashing: fixed and increasing, so that devices compare. Symmetric divergence has no
upper bound and takes ``1 - exp(-x)``; Jensen-Shannon divergence has one, ``log 2``.
"""

import math

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
from fedask.common.errors import ConfigError, DataError

_Block = NDArray[np.float32]

_TINY = np.finfo(np.float32).tiny  # its log is finite, and 0 times that is 0


def kafal(
    local_logits: Reals, global_logits: Reals, counts: NDArray[np.integer]
) -> Scores:
    """Score by symmetric divergence of two models, leaning to the classes known here.

    Parameters
    ----------
    local_logits, global_logits
        (n, c) float, of the same samples; minus infinity for a class that is ruled out.
    counts
        (c,) int, labelled samples per class on this device; 0 is allowed.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``1 - exp(-x)`` of
        ``x = (KL(Q|P) + KL(P|Q)) / 2`` with ``P = softmax(local + log(counts + 1))``
        and Q likewise of the global model.

    Raises
    ------
    ConfigError
        If lengths differ, or there is not one count of at least 0 per class.

    Notes
    -----
    The paper adds ``log(counts)``: minus infinity for a class that the device has never
    seen, and NaN after it. One more label of each keeps the order of the classes.

    References
    ----------
    Cao et al., "Knowledge-aware federated active learning with non-IID data", ICCV
    2023 (knowledge-specialised active sampling).
    """
    check_same_rows(local_logits=local_logits, global_logits=global_logits)
    samples, classes = local_logits.shape
    if counts.shape != (classes,) or not bool((counts >= 0).all()):
        raise ConfigError(
            f"kafal needs {classes} class counts of at least 0, got {counts.tolist()}"
        )
    prior = np.log1p(counts).astype(np.float32)
    scores = np.zeros(samples, dtype=np.float32)
    for rows in chunks(samples, classes):
        log_p = _log_softmax(block(local_logits, rows, np.float32) + prior)
        log_q = _log_softmax(block(global_logits, rows, np.float32) + prior)
        # KL(P|Q) + KL(Q|P) as one sum of products, none of them negative. A class that
        # both rule out adds nothing; one that one of them does, infinity.
        terms = np.exp(log_p) - np.exp(log_q)
        apart = terms != 0.0
        terms[apart] *= log_p[apart] - log_q[apart]
        scores[rows] = to_unit(-np.expm1(-0.5 * row_sum(terms)))
    return scores


def disagreement(local_probs: Reals, global_probs: Reals) -> Scores:
    """Score by the Jensen-Shannon divergence of the two models' predictions.

    Parameters
    ----------
    local_probs, global_probs
        (n, c) rows that sum to one, of the same samples.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1], in units of ``log 2``: 0 for equal predictions, 1 for
        predictions without a class in common.

    Raises
    ------
    ConfigError
        If the two do not have the same number of rows.

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
    Information Theory 37(1), 1991.
    """
    check_same_rows(local_probs=local_probs, global_probs=global_probs)
    samples, classes = local_probs.shape
    scores = np.zeros(samples, dtype=np.float32)
    for rows in chunks(samples, classes):
        p = block(local_probs, rows, np.float32)
        q = block(global_probs, rows, np.float32)
        half = np.maximum((p + q) / 2, _TINY)
        terms = p * np.log(np.maximum(p / half, _TINY))
        terms += q * np.log(np.maximum(q / half, _TINY))
        scores[rows] = to_unit(row_sum(terms) / (2.0 * math.log(2.0)))
    return scores


def fairness_mix(
    global_probs_on_labelled: Reals,
    local_probs_on_labelled: Reals,
    labels: NDArray[np.integer],
    num_classes: int,
) -> float:
    """Decide whether to ask by the global or by the local model.

    Parameters
    ----------
    global_probs_on_labelled, local_probs_on_labelled
        (l, c) rows that sum to one: both models on the device's labelled samples.
    labels
        (l,) int in [0, c).

    Returns
    -------
    float
        s in [0, 1] = ``1 - (d + gamma) / 2``; the paper asks by the global model above
        0.75. gamma in [0, 1]: how even the global model's mean predictions are over the
        classes that the device has labels of. d in [0, 1]: how far the mean predictions
        of the two models are apart. In the means every class with a label counts the
        same.

    Raises
    ------
    ConfigError
        If the shapes do not fit.
    DataError
        If there is no label, or one is outside [0, c).

    Notes
    -----
    The paper draws a class-balanced resample; the mean of the class means is what such
    a resample converges to, without the draw.

    References
    ----------
    Zong and Huang, "Federated active learning under extreme non-IID and global class
    imbalance", CVPR 2026, arXiv:2603.10341 (adaptive query model).
    """
    shape = (len(labels), num_classes)
    if {global_probs_on_labelled.shape, local_probs_on_labelled.shape} != {shape}:
        raise ConfigError(
            f"both models must predict {shape}, a row per label, got "
            f"{global_probs_on_labelled.shape} and {local_probs_on_labelled.shape}"
        )
    if not len(labels) or labels.min() < 0 or labels.max() >= num_classes:
        raise DataError(f"needs at least one label, all in [0, {num_classes})")
    present = np.unique(labels)
    by_global = _balanced_mean(global_probs_on_labelled, labels, present)
    by_local = _balanced_mean(local_probs_on_labelled, labels, present)
    seen = by_global[present]
    balance = float(seen.min() / seen.max()) if seen.max() > 0 else 0.0
    total = by_global + by_local
    gap = np.abs(by_global - by_local) / np.where(total > 0, total, 1.0)
    return 1.0 - (float(gap.mean()) + balance) / 2.0


def _log_softmax(logits: _Block) -> _Block:
    shifted: _Block = logits - row_max(logits)[:, None]
    shifted -= np.log(row_sum(np.exp(shifted)))[:, None]
    return shifted


def _balanced_mean(
    probs: Reals, labels: NDArray[np.integer], present: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Average the class means of the classes that have labels: (c,)."""
    means = [probs[labels == label].mean(axis=0, dtype=np.float64) for label in present]
    average: NDArray[np.float64] = np.mean(means, axis=0)
    return average
