"""Uncertainty of one prediction: least confidence, margin, entropy.

Pure functions on arrays under thin classes; called by scoring and by whoever has
predictions. None changes its input, whose rows must sum to one and are never normalised
again. All are 0 for a certain prediction and 1 for a uniform one; with a single class
all are 0, since there is nothing to be uncertain about. A row's score has the same bits
whatever its neighbours, the memory layout and the number of threads. NaN stays NaN: the
caller refuses it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.learning.scorers.columns import by_columns
from fedask.client.learning.scorers.prediction_view import (
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer import Scorer

_TINY = np.finfo(np.float32).tiny


def least_confidence(
    probs: NDArray[np.floating[Any]], *, threads: int | None = None
) -> Floats:
    """Score by one minus the largest probability.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one; float16, float32 or float64 of any layout.
    threads
        How many to use at most; None = one per core.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``(1 - max p) * c / (c - 1)``.

    References
    ----------
    Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994.
    Scaling: Settles, "Active learning literature survey", 2009, section 3.1.
    """
    return by_columns(probs, _least_confidence, threads)


def margin(probs: NDArray[np.floating[Any]], *, threads: int | None = None) -> Floats:
    """Score by one minus the gap between the two largest probabilities.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one; float16, float32 or float64 of any layout.
    threads
        How many to use at most; None = one per core.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1].

    References
    ----------
    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information
    extraction", IDA 2001, section 3.
    """
    return by_columns(probs, _margin, threads)


def entropy(probs: NDArray[np.floating[Any]], *, threads: int | None = None) -> Floats:
    """Score by Shannon entropy, in units of ``log c``.

    Parameters
    ----------
    probs
        (n, c) rows that sum to one; float16, float32 or float64 of any layout. An exact
        0 contributes 0.
    threads
        How many to use at most; None = one per core.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1].

    References
    ----------
    Shannon, "A mathematical theory of communication", 1948. As a query score: Settles,
    2009, section 3.1.
    """
    return by_columns(probs, _entropy, threads)


def _least_confidence(columns: Floats, spare: Floats, out: Floats) -> None:  # noqa: ARG001  (the seam's signature)
    classes = len(columns)
    if classes == 1:
        _nothing(columns, out)
        return
    np.subtract(np.float32(1.0), _fold(np.maximum, columns), out=out)
    np.multiply(out, np.float32(classes / (classes - 1)), out=out)
    np.clip(out, 0.0, 1.0, out=out)


def _margin(columns: Floats, spare: Floats, out: Floats) -> None:
    if len(columns) == 1:
        _nothing(columns, out)
        return
    first, second = _two_largest(columns, spare)
    np.subtract(first, second, out=out)
    np.subtract(np.float32(1.0), out, out=out)
    np.clip(out, 0.0, 1.0, out=out)


def _entropy(columns: Floats, spare: Floats, out: Floats) -> None:
    classes = len(columns)
    if classes == 1:
        _nothing(columns, out)
        return
    # The smallest normal number changes no logarithm but that of 0, into a finite one.
    np.log(np.add(columns, _TINY, out=spare), out=spare)
    np.multiply(columns, spare, out=columns)
    np.divide(_fold(np.add, columns), np.float32(np.log(classes)), out=out)
    np.subtract(np.float32(0.0), out, out=out)
    np.clip(out, 0.0, 1.0, out=out)


def _nothing(columns: Floats, out: Floats) -> None:
    np.multiply(columns[0], np.float32(0.0), out=out)  # keeps NaN


def _fold(operation: np.ufunc, columns: Floats) -> Floats:
    """Combine all columns in place, half with half until one is left: (r,)."""
    size = len(columns)
    while size > 1:
        half = size // 2
        front, back = columns[:half], columns[size - half : size]
        operation(front, back, out=front)
        size -= half
    row: Floats = columns[0]
    return row


def _two_largest(columns: Floats, losers: Floats) -> tuple[Floats, Floats]:
    """Find the two largest of each row in place, as in a knock-out: (r,) and (r,).

    Every winner remembers the largest that it, or whom it beat, has beaten.
    """
    size, half = len(columns), len(columns) // 2
    front, back = columns[:half], columns[size - half :]
    np.minimum(front, back, out=losers[:half])
    np.maximum(front, back, out=front)
    losers[half : size - half] = 0.0  # the odd one has met nobody
    size -= half
    while size > 1:
        half = size // 2
        front, back = columns[:half], columns[size - half : size]
        lost, late = losers[:half], losers[size - half : size]
        np.maximum(lost, late, out=lost)
        np.minimum(front, back, out=late)
        np.maximum(lost, late, out=lost)
        np.maximum(front, back, out=front)
        size -= half
    return columns[0], losers[0]


class Margin(Scorer):
    """See ``margin``. A device scores small batches: one thread."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return margin(view.probs, threads=1)


class Entropy(Scorer):
    """See ``entropy``."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return entropy(view.probs, threads=1)


class LeastConfidence(Scorer):
    """See ``least_confidence``."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return least_confidence(view.probs, threads=1)
