"""What values the arrays of a model may have, by their kind.

Used by the device for the model of a message and for what its own training gave, and by
the server for updates: what one side sends the other takes. Knows numpy alone.
"""

from collections.abc import Iterator

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
        limit = _limit(entry)
        if limit and not _within(arrays[entry.name], limit):
            raise ProtocolError(_beyond(entry))


def check_move(entry: ArrayEntry, before: NDArray[np.generic], now: Arrays) -> None:
    """Refuse what one device's training cannot have made of a statistic or counter.

    Raises
    ------
    ProtocolError
        Naming the array.
    """
    values, limit = now[entry.name], _limit(entry)
    if limit and not _within(values, limit):
        raise ProtocolError(_beyond(entry))
    moved = np.abs(values.astype(np.float64) - before.astype(np.float64))
    if entry.kind is ArrayKind.COUNTER and not (moved <= MAX_MOVE).all():
        raise ProtocolError(
            f"counter {entry.name!r:.80} moved by more than {MAX_MOVE} in one round"
        )


def faults(manifest: Manifest, before: Arrays, now: Arrays) -> Iterator[str]:
    """Say what is wrong with the result of a training, array by array.

    Parameters
    ----------
    before, now
        The model that a training began from, and ended with.
    """
    for entry in manifest.entries:
        name = entry.name
        if entry.kind is ArrayKind.PARAMETER:
            if not _within(now[name], MAX_VALUE):
                yield _beyond(entry)
        elif entry.kind is ArrayKind.CONSTANT:
            if not _equal(before[name], now[name]):
                yield (
                    f"training changed {name!r:.80}, which is a constant: make it a "
                    "buffer that begins with numbers, or let it require grad"
                )
        else:
            try:
                check_move(entry, before[name], now)
            except ProtocolError as err:
                yield str(err)


def _limit(entry: ArrayEntry) -> float | None:
    """Return the largest magnitude; None if anything goes."""
    limits = {ArrayKind.PARAMETER: MAX_VALUE, ArrayKind.STATISTIC: MAX_STATISTIC}
    return limits.get(entry.kind)


def _within(values: NDArray[np.generic], limit: float) -> bool:
    if not values.size:
        return True
    # NaN fails the comparison, too.
    return max(float(values.max()), -float(values.min())) <= limit


def _beyond(entry: ArrayEntry) -> str:
    return (
        f"{entry.kind} {entry.name!r:.80} holds NaN, infinity or values beyond "
        f"{_limit(entry):g}"
    )


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    if one is other or np.array_equal(one, other):
        return True
    floats = one.dtype.kind == "f"
    return floats and np.array_equal(one, other, equal_nan=True)
