"""What values the arrays of a model may have, by their kind.

Used by the device for the model of a message and for what its own training gave, and by
the server for updates: what one side sends the other takes. Knows numpy alone.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.arrays import MAX_VALUE, Arrays
from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest

# A variance of raw data is far above any weight: a column of incomes has 1e9.
MAX_STATISTIC = 2.0**40
# Of a counter, in one round: below, nothing that counts samples or steps overflows.
MAX_MOVE = 2**31


def check_model(manifest: Manifest, arrays: Arrays) -> None:
    """Refuse a model with a value that no sane one has.

    Parameters
    ----------
    arrays
        Of the shapes and dtypes of the manifest.

    Raises
    ------
    ProtocolError
        Naming the first array: a parameter that holds NaN, infinity or a value beyond
        65536 in magnitude, or a statistic with one beyond 2**40. Counters and constants
        may hold anything.
    """
    for entry in manifest.entries:
        if not _within(entry, arrays[entry.name]):
            raise ProtocolError(fault_of(entry))


def first_unfit(manifest: Manifest, before: Arrays, now: Arrays) -> str:
    """Return the name of the first array that a training made unfit to send; or "".

    Parameters
    ----------
    before, now
        The model that the training began from, and ended with.
    """
    for entry in manifest.entries:
        if not is_fit(entry, before[entry.name], now[entry.name]):
            return entry.name
    return ""


def is_fit(
    entry: ArrayEntry, before: NDArray[np.generic], now: NDArray[np.generic]
) -> bool:
    """Tell whether one array can be what one training made of another.

    Its values must be those that ``check_model`` takes; a counter must not have moved
    by more than 2**31, and a constant not at all.
    """
    if entry.kind is ArrayKind.CONSTANT:
        return _equal(before, now)
    if entry.kind is ArrayKind.COUNTER:
        moved = np.abs(now.astype(np.float64) - before.astype(np.float64))
        return bool((moved <= MAX_MOVE).all())
    return _within(entry, now)


def fault_of(entry: ArrayEntry) -> str:
    """Say what is wrong with an array that does not fit."""
    if entry.kind is ArrayKind.CONSTANT:
        return (
            f"training changed {entry.name!r:.80}, which is a constant: make it a "
            "buffer that begins with numbers, or let it require grad"
        )
    if entry.kind is ArrayKind.COUNTER:
        return f"counter {entry.name!r:.80} moved by more than {MAX_MOVE} in a round"
    return (
        f"{entry.kind} {entry.name!r:.80} holds NaN, infinity or values beyond "
        f"{_LIMITS[entry.kind]:g}"
    )


_LIMITS = {ArrayKind.PARAMETER: MAX_VALUE, ArrayKind.STATISTIC: MAX_STATISTIC}


def _within(entry: ArrayEntry, values: NDArray[np.generic]) -> bool:
    if entry.kind not in _LIMITS or not values.size:
        return True
    # NaN fails the comparison, too.
    largest = max(float(values.max()), -float(values.min()))
    return largest <= _LIMITS[entry.kind]


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    if one is other or np.array_equal(one, other):
        return True
    floats = one.dtype.kind == "f"
    return floats and np.array_equal(one, other, equal_nan=True)
