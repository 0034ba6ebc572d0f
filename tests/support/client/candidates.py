"""Small shortlists for the tests of batchers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.batchers.batcher import Batcher, Shortlist

Points = NDArray[np.float64]


def softmax(logits: Points) -> NDArray[np.float32]:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float32] = (exp / exp.sum(axis=-1, keepdims=True)).astype("f4")
    return probs


def shortlist(
    features: Any,  # noqa: ANN401  (anything that makes an array)
    probs: NDArray[np.float32] | None = None,
    scores: NDArray[np.float32] | None = None,
    **fields: Any,  # noqa: ANN401  (the optional fields)
) -> Shortlist:
    x = np.asarray(features, dtype=np.float32)
    n = len(x)
    return Shortlist(
        scores=np.linspace(1, 0, n, dtype=np.float32) if scores is None else scores,
        accepted=np.zeros(n, np.bool_),
        features=x,
        probs=np.full((n, 2), 0.5, np.float32) if probs is None else probs,
        **fields,
    )


def picks(batcher: Batcher, given: Shortlist, k: int, seed: int = 0) -> list[int]:
    rows: list[int] = batcher.pick(given, k, np.random.default_rng(seed)).tolist()
    return rows


def chi_square(counts: NDArray[np.int64], probabilities: Points) -> float:
    """Return Pearson's statistic."""
    expected = probabilities / probabilities.sum() * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())
