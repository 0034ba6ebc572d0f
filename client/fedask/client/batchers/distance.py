"""Squared distances of many points, a block at a time. Called by batchers.

Points stay as the model gave them; only blocks are turned into float64, so that copies
of a sample are at distance 0, ties are ties, and nothing overflows, at a few MiB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 2**18  # of a block: 2 MiB of float64, about the second cache of a core
SAME = 1e-12  # a squared distance below this share of the squared norm is rounding

Doubles = NDArray[np.float64]
Reals = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Some points in float64.

    Parameters
    ----------
    features
        (n, d).
    norms
        (n,) squared norms of the points.
    weights
        None: the points are the features. Otherwise (n, c): point i is the outer
        product of weights i and features i, which is never built.
    """

    features: Doubles
    norms: Doubles
    weights: Doubles | None = None

    @classmethod
    def of(cls, features: Reals, weights: Reals | None = None) -> "Block":
        """Convert points and square them."""
        x = features.astype(np.float64)
        norms = np.einsum("ij,ij->i", x, x)
        if weights is None:
            return cls(x, norms)
        a = weights.astype(np.float64)
        return cls(x, norms * np.einsum("ij,ij->i", a, a), a)

    def gaps(self, others: "Block") -> Doubles:
        """Return squared distances to other points, (n, m); exactly 0 for copies.

        Inner products of outer products factor: ``<a x h, b x g> = <a, b> <h, g>``.
        """
        gaps = self.features @ others.features.T
        if self.weights is not None and others.weights is not None:
            gaps *= self.weights @ others.weights.T
        gaps *= -2.0
        gaps += others.norms
        gaps += self.norms[:, None]
        gaps[gaps <= SAME * self.norms[:, None]] = 0.0
        return gaps

    def __len__(self) -> int:
        return len(self.norms)


class Chosen:
    """Points chosen one by one, kept as a growing block.

    Parameters
    ----------
    capacity
        Most points it will hold.
    features, weights
        Number of columns; no weights if 0.
    """

    def __init__(self, capacity: int, features: int, weights: int = 0) -> None:
        self._features = np.empty((capacity, features))
        self._norms = np.empty(capacity)
        self._weights = np.empty((capacity, weights)) if weights else None
        self._count = 0

    def add(self, block: Block) -> None:
        """Append points."""
        end = self._count + len(block)
        self._features[self._count : end] = block.features
        self._norms[self._count : end] = block.norms
        if self._weights is not None and block.weights is not None:
            self._weights[self._count : end] = block.weights
        self._count = end

    def since(self, start: int) -> Block:
        """Return a view of the points from number ``start`` on."""
        part = slice(start, self._count)
        weights = None if self._weights is None else self._weights[part]
        return Block(self._features[part], self._norms[part], weights)

    def __len__(self) -> int:
        return self._count


def blocks(n: int, width: int) -> Iterator[slice]:
    """Cut ``n`` rows into slices of at most ``CELLS / width`` rows."""
    step = max(1, CELLS // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def directions(features: Reals) -> Doubles:
    """Return rows scaled to length 1, (n, d) float64; rows of zeros stay."""
    x = features.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    x /= np.where(lengths > 0.0, lengths, 1.0)[:, None]
    return x
