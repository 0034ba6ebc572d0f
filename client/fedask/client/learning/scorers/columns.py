"""Walks a matrix in blocks of rows, each turned into columns. Called by the scores.

NumPy is fast along long contiguous arrays, and predictions have short rows; so a block
is copied, transposed, into a buffer that fits into a core's cache, and a kernel works
on whole columns there. Memory beyond the result does not grow with the matrix, which
is never changed.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.prediction_view import Floats
from fedask.common.errors import ConfigError

# A kernel gets the columns of a block (c, r), as many spare numbers (c, r), and where
# the r results belong. It may change all three. It must not mix the rows of a block,
# and it must do its sums in an order that c alone decides: then a row's result has the
# same bits wherever the row stands.
Kernel = Callable[[Floats, Floats, Floats], None]

_BLOCK_NUMBERS = 1 << 16  # 256 KiB, half of a small L2; the spare takes the other half
_MATRIX_AXES = 2


def by_columns(
    rows: NDArray[np.floating[Any]], kernel: Kernel, threads: int | None
) -> Floats:
    """Run a kernel over all rows.

    Parameters
    ----------
    rows
        (n, c) any float type and layout; the kernel sees float32.
    kernel
        Gives one number per row.
    threads
        How many to use at most; None = one per core that this process may use. The
        result does not depend on it.

    Returns
    -------
    NDArray
        (n,) float32.

    Raises
    ------
    ConfigError
        If the matrix has no column, or is none.
    """
    if rows.ndim != _MATRIX_AXES or rows.shape[1] == 0:
        msg = f"predictions have shape {rows.shape}: they must be (samples, classes)"
        raise ConfigError(msg)
    count, width = rows.shape
    result = np.empty(count, dtype=np.float32)
    step = max(1, _BLOCK_NUMBERS // width)
    starts = iter(range(0, count, step))
    blocks = -(-count // step)
    extra = min(threads or _cores(), blocks) - 1
    if extra < 1:
        _work(rows, kernel, starts, step, result)
        return result
    with ThreadPoolExecutor(extra) as pool:
        # All take from one iterator: who is slowed down by others takes less.
        jobs = [
            pool.submit(_work, rows, kernel, starts, step, result) for _ in range(extra)
        ]
        _work(rows, kernel, starts, step, result)
        for job in jobs:
            job.result()
    return result


def _work(
    rows: NDArray[np.floating[Any]],
    kernel: Kernel,
    starts: Iterator[int],
    step: int,
    result: Floats,
) -> None:
    """Do blocks until none is left."""
    width = rows.shape[1]
    size = min(step, len(rows)) * width
    columns, spare = np.empty(size, np.float32), np.empty(size, np.float32)
    with np.errstate(invalid="ignore"):  # NaN is for the caller to find
        for start in starts:
            out = result[start : start + step]
            # Contiguous for a shorter last block too: the same loops for every row.
            block = columns[: len(out) * width].reshape(width, len(out))
            np.copyto(block, rows[start : start + step].T)
            kernel(block, spare[: block.size].reshape(block.shape), out)


def _cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
