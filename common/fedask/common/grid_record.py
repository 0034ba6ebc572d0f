"""The score grid as it crosses the wire, with the sums of its groups.

Called by ``records``. The narrowest type that holds the numbers travels; sizes are
checked before anything is read.
"""

from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord

from fedask.common.errors import ProtocolError
from fedask.common.fields import MAX_COUNT, check_range
from fedask.common.grid import IntArray
from fedask.common.weights import read_npy

GRID = "fedask.grid"


def to_record(grid: IntArray, sums: IntArray | None) -> ArrayRecord:
    """Return the wire form.

    Parameters
    ----------
    grid
        (g, b) counts.
    sums
        (g, 17) beside them, or None.
    """
    record = ArrayRecord()
    record["counts"] = Array(grid.astype(_narrowest(grid)))
    if sums is not None:
        record["sums"] = Array(sums.astype(_narrowest_signed(sums)))
    return record


def read_grid(
    record: object, shape: tuple[int, int], sums_shape: tuple[int, int] | None
) -> IntArray | None:
    """Read the counts of a grid record, if there is one.

    Parameters
    ----------
    record
        As it stands in a message, or None.
    shape
        (g, b) that they must have.
    sums_shape
        None: there must be no sums beside them.

    Raises
    ------
    ProtocolError
        If anything in it does not fit.
    """
    if record is None:
        return None
    allowed = ("counts",) if sums_shape is None else ("counts", "sums")
    names = tuple(record.keys()) if isinstance(record, ArrayRecord) else ()
    if not isinstance(record, ArrayRecord) or names not in {("counts",), allowed}:
        raise ProtocolError(
            f"{GRID} must be an ArrayRecord that holds {' and '.join(allowed)} alone"
        )
    wide = _read_counts(record["counts"], shape, {"uint8", "uint16", "uint32"}, GRID)
    check_range(f"{GRID} sum", int(wide.sum()), 0, MAX_COUNT)
    return wide


def read_sums(record: object, shape: tuple[int, int] | None) -> IntArray | None:
    """Read the sums of a grid record that ``read_grid`` let through, if there are any.

    Raises
    ------
    ProtocolError
        If they are not of this shape.
    """
    if shape is None or not isinstance(record, ArrayRecord) or "sums" not in record:
        return None
    what = f"{GRID} sums"
    return _read_counts(record["sums"], shape, {"int16", "int32", "int64"}, what)


def _read_counts(
    array: Array, shape: tuple[int, int], types: set[str], what: str
) -> IntArray:
    """Read whole numbers of one of some types and of one shape."""
    widest = max(np.dtype(name).itemsize for name in types)
    cap = shape[0] * shape[1] * widest + 1024
    if array.dtype not in types or len(array.data) > cap:
        raise ProtocolError(
            f"{what} is {array.dtype!r:.20} of {len(array.data)} bytes, must be "
            f"{' or '.join(sorted(types))} and at most {cap} bytes"
        )
    counts = read_npy(array, what)
    if counts.shape != shape or counts.dtype.name != array.dtype:
        raise ProtocolError(f"{what} has shape {counts.shape}, must be {shape}")
    wide: IntArray = counts.astype(np.int64)
    return wide


def _narrowest(grid: IntArray) -> type[np.unsignedinteger[Any]]:
    """Return the smallest unsigned type that holds the counts."""
    largest = int(grid.max(initial=0))
    if largest < 2**8:
        return np.uint8
    return np.uint16 if largest < 2**16 else np.uint32


def _narrowest_signed(sums: IntArray) -> type[np.signedinteger[Any]]:
    """Return the smallest signed type that holds the sums."""
    largest = int(np.abs(sums).max(initial=0))
    if largest < 2**15:
        return np.int16
    return np.int32 if largest < 2**31 else np.int64
