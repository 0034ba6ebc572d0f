"""Batches by score alone: the best, or drawn with a chance that grows with the score.

A draw is cheap diversity: it needs no features.

Adding Gumbel noise to a key and taking the k largest draws k samples without
replacement with probabilities in proportion to ``exp(key)`` (Kool et al., "Stochastic
beams and where to find them", ICML 2019).

References
----------
Kirsch et al., "Stochastic batch acquisition: a simple baseline for deep active
learning", TMLR 2023: power and softmax acquisition.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.learning.batchers.batcher import CheckedBatcher, Rows, Shortlist

_SCORES = frozenset({"scores"})


class Top(CheckedBatcher):
    """The accepted samples, then the best of the others if ``k`` is larger."""

    needs: frozenset[str] = frozenset()

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        return shortlist.top(k)


class PowerBatcher(CheckedBatcher):
    """Drawn with probability in proportion to ``score ** beta``.

    A score of 0 is asked only when nothing else is left.

    Parameters
    ----------
    beta
        Coldness, positive; the larger, the closer to the best k.
    """

    needs = _SCORES

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        scores = shortlist.scores.astype(np.float64)
        with np.errstate(divide="ignore"):  # log 0 = -inf, below any noise
            keys = self.beta * np.log(scores)
        return draw(keys, k, rng)


class SoftmaxBatcher(CheckedBatcher):
    """Drawn with probability in proportion to ``exp(beta * score)``.

    Parameters
    ----------
    beta
        Coldness, positive. The default makes a score of 1 about 3000 times as likely
        as a score of 0; with 1 it would be less than 3 times.
    """

    needs = _SCORES

    def __init__(self, beta: float = 8.0) -> None:
        self.beta = beta

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        return draw(self.beta * shortlist.scores.astype(np.float64), k, rng)


def draw(keys: NDArray[np.float64], k: int, rng: np.random.Generator) -> Rows:
    """Draw ``k`` rows without replacement in proportion to ``exp(keys)``.

    Parameters
    ----------
    keys
        (n,) below infinity; rows of minus infinity come last, the lowest row first.

    Returns
    -------
    NDArray
        (k,) different rows.
    """
    noisy = keys + rng.gumbel(size=len(keys))
    return np.argsort(-noisy, kind="stable")[:k]
