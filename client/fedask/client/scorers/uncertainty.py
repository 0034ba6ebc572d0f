"""Uncertainty of one prediction: least confidence, margin, entropy.

Pure functions on arrays under thin classes. None changes its input. All are 0 for a
certain prediction and 1 for a uniform one.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.scorers.scorer import Scorer
from fedask.client.view import Floats, Known, View


def least_confidence(probs: Floats) -> Floats:
    """Score by one minus the largest probability.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``(1 - max p) * c / (c - 1)``.

    References
    ----------
    Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994.
    Scaling: Settles, "Active learning literature survey", 2009, section 3.1.
    """
    classes = probs.shape[1]
    top = probs.max(axis=1).astype(np.float32)
    return _unit((1.0 - top) * np.float32(classes / (classes - 1)))


def margin(probs: Floats) -> Floats:
    """Score by one minus the gap between the two largest probabilities.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1].

    References
    ----------
    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information
    extraction", IDA 2001, section 3.
    """
    two = np.partition(probs, -2, axis=1)[:, -2:].astype(np.float32)
    return _unit(1.0 - (two[:, 1] - two[:, 0]))


def entropy(probs: Floats) -> Floats:
    """Score by Shannon entropy, in units of ``log c``.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one; an exact 0 contributes 0.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1].

    References
    ----------
    Shannon, "A mathematical theory of communication", 1948. As a query score: Settles,
    2009, section 3.1.
    """
    p = probs.astype(np.float32)
    logs = np.log(np.where(p > 0, p, 1.0))
    total = -(p * logs).sum(axis=1, dtype=np.float32)
    return _unit(total / np.float32(np.log(probs.shape[1])))


def _unit(scores: NDArray[np.floating]) -> Floats:
    """Clip rounding errors; NaN stays NaN and is refused by the caller."""
    clipped: Floats = np.clip(scores, 0.0, 1.0).astype(np.float32)
    return clipped


class Margin(Scorer):
    """See ``margin``."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: View, known: Known) -> Floats:
        return margin(view.probs)


class Entropy(Scorer):
    """See ``entropy``."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: View, known: Known) -> Floats:
        return entropy(view.probs)


class LeastConfidence(Scorer):
    """See ``least_confidence``."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: View, known: Known) -> Floats:
        return least_confidence(view.probs)
