"""Helpers for scores: arrays in blocks of rows, with reproducible sums.

Called by the modules beside it; never decides what a score means. The promise kept
here is that a row gives the same bits wherever it stands and whatever stands around
it, so that a batch size, a reordered pool or a repeated run never moves a sample over
a cut. Three traps break it, and are the reason for these functions: a sum along a
transposed axis switches algorithm when only one row is left, a reduction that casts on
the fly is split at the edges of its buffer, and an input in column order makes its
copies column ordered too.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError

Reals = NDArray[np.floating]
Scores = NDArray[np.float32]
Float = TypeVar("Float", bound=np.floating)

_CHUNK_VALUES = 16_384  # 64 KiB of float32: three such blocks stay in a core's cache
_FEW_COLUMNS = 32  # up to here, adding whole columns beats numpy's loop over rows


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Cut ``rows`` rows of ``width`` values each into blocks of about 64 KiB.

    Returns
    -------
    Iterator
        Consecutive slices that cover ``range(rows)``; at least one row each.
    """
    step = max(1, _CHUNK_VALUES // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def block(array: Reals, rows: slice, dtype: type[Float]) -> NDArray[Float]:
    """Return some rows, C-contiguous and of one precision; copied only if needed."""
    return np.ascontiguousarray(array[rows], dtype=dtype)


def row_sum(values: NDArray[Float]) -> NDArray[Float]:
    """Sum each row of a row-ordered block.

    Parameters
    ----------
    values
        (n, w), C-contiguous.

    Returns
    -------
    NDArray
        (n,) of the same dtype. The order of additions depends on ``w`` alone.
    """
    width = values.shape[1]
    if not 0 < width <= _FEW_COLUMNS:
        total: NDArray[Float] = values.sum(axis=1)
        return total
    total = values[:, 0].copy()
    for column in range(1, width):
        total += values[:, column]
    return total


def row_max(values: NDArray[Float]) -> NDArray[Float]:
    """Return the largest value of each row, NaN if the row holds one: (n,)."""
    width = values.shape[1]
    if width > _FEW_COLUMNS:
        best: NDArray[Float] = values.max(axis=1)
        return best
    best = values[:, 0].copy()
    for column in range(1, width):
        np.maximum(best, values[:, column], out=best)
    return best


def to_unit(values: Reals) -> Scores:
    """Clip rounding errors to [0, 1]; -0 becomes 0; NaN stays NaN, to be refused."""
    clipped: Scores = np.clip(values, 0.0, 1.0).astype(np.float32)
    clipped += np.float32(0.0)
    return clipped


def check_same_rows(**arrays: Reals) -> None:
    """Refuse arrays that do not describe the same samples.

    Raises
    ------
    ConfigError
        If the lengths differ; names them.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise ConfigError(
            f"one row per sample is needed, but {told}; give both of the same samples"
        )
