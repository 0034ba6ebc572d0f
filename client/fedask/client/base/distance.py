"""Squared distances of many points, a block at a time. Called by batchers and density.

Two ways, both free of small negative squares, and with copies of a sample at distance
0. ``DistanceBlock`` is for points that meet each other: they stay as the model gave
them, and only blocks are turned into float64, so that ties are ties and nothing
overflows, at a few MiB. ``fix`` is for many rows that meet a few fixed points, where a
row must get the same bits in every batch. Matrix products do not give that in floating
point, so coordinates are rounded to whole numbers of a small step first, few enough
bits that products and sums stay below 2**53, where float64 counts exactly: every order
of additions gives the same number.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError, DataError

CELLS = 2**18  # of a block: 2 MiB of float64, about the second cache of a core
SAME = 1e-12  # a squared distance below this share of the squared norm is rounding
_MOST_ROWS = 512  # against fixed points
# How far out rows are told apart: this many times the spread of the points, or the
# distance that matters, whichever is larger. Beyond, a coordinate counts as that far.
_SPREADS, _REACHES = 8.0, 64.0

Doubles = NDArray[np.float64]
Reals = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DistanceBlock:
    """A block of points in float64, with their squared lengths.

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
    def of(cls, features: Reals, weights: Reals | None = None) -> "DistanceBlock":
        """Convert points and square them."""
        x = features.astype(np.float64)
        norms = np.einsum("ij,ij->i", x, x)
        if weights is None:
            return cls(x, norms)
        a = weights.astype(np.float64)
        return cls(x, norms * np.einsum("ij,ij->i", a, a), a)

    def gaps(self, others: "DistanceBlock") -> Doubles:
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

    def add(self, block: DistanceBlock) -> None:
        """Append points."""
        end = self._count + len(block)
        self._features[self._count : end] = block.features
        self._norms[self._count : end] = block.norms
        if self._weights is not None and block.weights is not None:
            self._weights[self._count : end] = block.weights
        self._count = end

    def since(self, start: int) -> DistanceBlock:
        """Return a view of the points from number ``start`` on."""
        part = slice(start, self._count)
        weights = None if self._weights is None else self._weights[part]
        return DistanceBlock(self._features[part], self._norms[part], weights)

    def __len__(self) -> int:
        return self._count


def blocks(n: int, width: int) -> Iterator[slice]:
    """Return slices of at most ``CELLS / width`` rows that cover ``n`` rows."""
    step = max(1, CELLS // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def directions(features: Reals) -> Doubles:
    """Return rows scaled to length 1, (n, d) float64; rows of zeros stay."""
    x = features.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    x /= np.where(lengths > 0.0, lengths, 1.0)[:, None]
    return x


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Points rounded to a lattice, whose distances are exact.

    Parameters
    ----------
    centre
        (d,) float64, where the lattice starts: the mean of the points.
    step
        Distance between neighbours of the lattice.
    limit
        Coordinates are clipped to plus or minus this many steps.
    whole
        (m, d) float64, whole numbers of steps.
    squares
        (m,) float64, squared lengths of ``whole``.
    """

    centre: Doubles
    step: float
    limit: float
    whole: Doubles
    squares: Doubles


def fix(points: Reals, reach: float = 0.0) -> Points:
    """Put points on a lattice fine enough to tell ``reach`` apart.

    Parameters
    ----------
    points
        (m, d) float, ``m >= 1``.
    reach
        A distance that matters, in the unit of the points.

    Raises
    ------
    DataError
        If a coordinate is NaN or infinite; names the row.
    """
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise DataError(
            f"row {int(bad[0])} of the reference features is NaN or infinite"
        )
    whole = np.array(points, dtype=np.float64, order="C")
    centre = whole.mean(axis=0)
    whole -= centre
    # |x - s|^2 <= d (2 limit)^2 must not exceed 2**53.
    bits = (51 - math.ceil(math.log2(max(points.shape[1], 1)))) // 2
    spread = max(whole.max(initial=0.0), -whole.min(initial=0.0))
    step = max(_SPREADS * spread, _REACHES * reach) / 2.0**bits or 1.0
    whole /= step
    np.rint(whole, out=whole)
    return Points(
        centre=centre,
        step=step,
        limit=2.0**bits,
        whole=whole,
        squares=np.einsum("md,md->m", whole, whole),
    )


def squared_distances(
    features: Reals, points: Points
) -> Iterator[tuple[slice, Doubles]]:
    """Yield squared distances, some rows at a time.

    Parameters
    ----------
    features
        (n, d) float.
    points
        m fixed points of the same d.

    Yields
    ------
    tuple
        Rows and their (r, m) squared distances to the points in steps squared: whole
        numbers; NaN for a row with a NaN or infinite coordinate.

    Raises
    ------
    ConfigError
        If d differs.
    """
    if features.shape[1] != points.whole.shape[1]:
        raise ConfigError(
            f"features have {features.shape[1]} columns, the reference has "
            f"{points.whole.shape[1]}: both must come from the same model"
        )
    count = min(_MOST_ROWS, max(1, CELLS // len(points.whole)))
    for start in range(0, len(features), count):
        rows = slice(start, min(start + count, len(features)))
        x = np.array(features[rows], dtype=np.float64, order="C")
        x[~np.isfinite(x).all(axis=1)] = np.nan
        x -= points.centre
        x /= points.step
        np.clip(np.rint(x, out=x), -points.limit, points.limit, out=x)
        squares = x @ points.whole.T
        squares *= -2.0
        squares += np.einsum("nd,nd->n", x, x)[:, None]
        squares += points.squares
        yield rows, squares
