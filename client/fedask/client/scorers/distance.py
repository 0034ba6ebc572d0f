"""Distances from many rows to a few fixed points, exact in fixed point.

Called by density; holds no samples but the fixed points. Matrix products are the fast
way to distances, but in floating point they give a row other bits in another batch,
small negative squares, and a distance above 0 from a point to itself. Here coordinates
are rounded to whole numbers of a small step first, few enough bits that products and
sums stay below 2**53, where float64 counts exactly: every order of additions gives the
same number, equal rows have distance 0, and nothing is negative.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedask.client.scorers.rows import Reals
from fedask.common.errors import ConfigError, DataError

_Block = NDArray[np.float64]

_BLOCK_VALUES = 262_144  # 2 MiB of distances: wide enough for a matrix product
_MOST_ROWS = 512
# How far out rows are told apart: this many times the spread of the points, or the
# distance that matters, whichever is larger. Beyond, a coordinate counts as that far.
_SPREADS, _REACHES = 8.0, 64.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Fixed points on a lattice of their own.

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

    centre: _Block
    step: float
    limit: float
    whole: _Block
    squares: _Block


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
        msg = f"row {int(bad[0])} of the reference features is NaN or infinite"
        raise DataError(msg)
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
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
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
        msg = (
            f"features have {features.shape[1]} columns, the reference has "
            f"{points.whole.shape[1]}: both must come from the same model"
        )
        raise ConfigError(msg)
    count = min(_MOST_ROWS, max(1, _BLOCK_VALUES // len(points.whole)))
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
