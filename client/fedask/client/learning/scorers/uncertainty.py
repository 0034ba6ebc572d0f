"""Uncertainty of one prediction: least confidence, margin, entropy.

Pure functions on arrays; called by scorers and by whoever has predictions. None changes
its input, whose rows must sum to one and are never normalised again. All are 0 for a
certain prediction and 1 for a uniform one; with a single class all are 0, since there
is nothing to be uncertain about. A row's score has the same bits whatever its
neighbours, the memory layout and the number of threads. NaN stays NaN: the caller
refuses it.

NumPy is fast along long contiguous arrays, and predictions have short rows; so a block
is copied, transposed, into a buffer that fits into a core's cache, and a kernel works
on whole columns there. Memory beyond the result does not grow with the matrix.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.scorer import Floats
from fedask.common.errors import ConfigError

# A kernel gets the columns of a block (c, r), as many spare numbers (c, r), and where
# the r results belong. It may change all three. It must not mix the rows of a block,
# and it must do its sums in an order that c alone decides: then a row's result has the
# same bits wherever the row stands.
Kernel = Callable[[Floats, Floats, Floats], None]

_BLOCK_NUMBERS = 1 << 16  # 256 KiB, half of a small L2; the spare takes the other half
_MATRIX_AXES = 2
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

    Examples
    --------
    >>> least_confidence(np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]))
    array([1. , 0.5, 0. ], dtype=float32)
    """
    return _by_columns(probs, _least_confidence, threads)


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

    Examples
    --------
    >>> margin(np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    array([0.75, 1.  , 0.  ], dtype=float32)
    """
    return _by_columns(probs, _margin, threads)


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

    Examples
    --------
    >>> entropy(np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]]))
    array([1. , 0.5], dtype=float32)
    """
    return _by_columns(probs, _entropy, threads)


def _least_confidence(columns: Floats, spare: Floats, out: Floats) -> None:  # noqa: ARG001  (the seam's signature)
    classes = len(columns)
    np.subtract(np.float32(1.0), _fold(np.maximum, columns), out=out)
    np.multiply(out, np.float32(classes / (classes - 1)), out=out)
    np.clip(out, 0.0, 1.0, out=out)


def _margin(columns: Floats, spare: Floats, out: Floats) -> None:
    first, second = _two_largest(columns, spare)
    np.subtract(first, second, out=out)
    np.subtract(np.float32(1.0), out, out=out)
    np.clip(out, 0.0, 1.0, out=out)


def _entropy(columns: Floats, spare: Floats, out: Floats) -> None:
    classes = len(columns)
    # The smallest normal number changes no logarithm but that of 0, into a finite one.
    np.log(np.add(columns, _TINY, out=spare), out=spare)
    np.multiply(columns, spare, out=columns)
    np.divide(_fold(np.add, columns), np.float32(np.log(classes)), out=out)
    np.subtract(np.float32(0.0), out, out=out)
    np.clip(out, 0.0, 1.0, out=out)


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


def _by_columns(
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
        raise ConfigError(
            f"predictions have shape {rows.shape}: they must be (samples, classes)"
        )
    count, width = rows.shape
    if width == 1:  # nothing to be uncertain about
        with np.errstate(invalid="ignore"):
            return rows[:, 0].astype(np.float32) * np.float32(0.0)  # keeps NaN
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
    """Run the kernel on blocks until none is left."""
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
