"""Model arrays on the wire: naming, checking, and summing them exactly.

Used by both halves; knows numpy and Flower's records, never torch. What comes from
another machine is checked here before anything else sees it: byte size before parsing,
then names, shapes, dtypes and finiteness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod, sqrt
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from typing_extensions import override

from fedask.common.arrays import Arrays, check_values
from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayKind, Manifest

_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER_BYTES = 1024  # .npy headers are 128 bytes here; room for odd writers
_NORM_LIMIT = 1024.0  # of all arrays together: below, no value needs a look of its own
_SCALE = 2.0**30  # fixed point: weight times value is kept to 2**-30
_MAX_SUM = 2.0**62 / _SCALE  # so that the int64 sum cannot wrap


class MemoryArray(Array):
    """An ``Array`` over a live ndarray that is serialised only when it is sent.

    In one process nothing is ever encoded; on a wire it is indistinguishable from
    Flower's own array. The ndarray is made read-only, since both sides share it.
    """

    def __init__(self, ndarray: NDArray[Any]) -> None:
        ndarray.flags.writeable = False
        # Around Array.__setattr__, which exists to invalidate cached bytes.
        self.__dict__.update(
            dtype=_dtype_name(ndarray.dtype),
            shape=ndarray.shape,
            stype="numpy.ndarray",
            _ndarray=ndarray,
        )

    @property
    @override
    def data(self) -> bytes:  # type: ignore[override]
        """The .npy bytes, encoded on first use."""
        encoded: bytes | None = self.__dict__.get("_encoded")
        if encoded is None:
            encoded = Array(self.__dict__["_ndarray"]).data
            self.__dict__["_encoded"] = encoded
        return encoded

    @override
    def numpy(self) -> NDArray[Any]:
        array: NDArray[Any] = self.__dict__["_ndarray"]
        return array

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (Array, (self.dtype, tuple(self.shape), self.stype, self.data))


@lru_cache(maxsize=64)
def _dtype_name(dtype: np.dtype[Any]) -> str:
    """Return ``dtype.name``, which numpy composes anew on every access."""
    return dtype.name


# Flower writes the class name into the object's header and looks it up when reading.
MemoryArray.__qualname__ = "Array"


def to_record(arrays: Arrays) -> ArrayRecord:
    """Wrap arrays for a message without copying or encoding them.

    Parameters
    ----------
    arrays
        Name to ndarray. They become read-only.
    """
    record = ArrayRecord()
    # Around the type check of each item, which costs more than making it.
    data: dict[str, Array] = record.__dict__["_data"]
    for name, array in arrays.items():
        data[name] = MemoryArray(array)
    return record


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What the arrays of one model must look like.

    Parameters
    ----------
    shapes
        Name to (shape, dtype name), in the model's own order.
    """

    shapes: Mapping[str, tuple[tuple[int, ...], str]]

    @classmethod
    def of(cls, arrays: Arrays) -> "ArraySpec":
        """Describe the given arrays."""
        return cls({k: (tuple(a.shape), a.dtype.name) for k, a in arrays.items()})

    @classmethod
    def of_manifest(cls, manifest: Manifest, *kinds: ArrayKind) -> "ArraySpec":
        """Describe the arrays of some kinds; without any, all."""
        entries = manifest.of(*(kinds or ArrayKind))
        return cls({entry.name: (entry.shape, entry.dtype) for entry in entries})

    def read(self, record: ArrayRecord) -> dict[str, NDArray[Any]]:
        """Decode and check arrays from another machine.

        Returns
        -------
        dict
            Name to ndarray in this spec's order; possibly read-only.

        Raises
        ------
        ProtocolError
            If a name is missing or unknown, or an array is too large, has another
            shape or dtype, does not decode, or holds NaN, infinity or a value beyond
            65536 in magnitude.
        """
        arrays = self.decode(record)
        check_values(arrays)
        return arrays

    def decode(
        self, record: ArrayRecord, optional: frozenset[str] = frozenset()
    ) -> dict[str, NDArray[Any]]:
        """Do what ``read`` does, but leave the values to others to check.

        Parameters
        ----------
        optional
            Names that may be missing.
        """
        if record.keys() != self.shapes.keys():
            differing = set(record.keys()) ^ set(self.shapes)
            if differing - optional or not self.shapes.keys() >= record.keys():
                raise ProtocolError(
                    "arrays do not match the model: "
                    f"{sorted(differing)[:5]!r:.200} differ"
                )
        return {
            name: _decode(name, record[name], shape, dtype)
            for name, (shape, dtype) in self.shapes.items()
            if name in record
        }


def _decode(
    name: str, array: Array, shape: tuple[int, ...], dtype: str
) -> NDArray[Any]:
    if isinstance(array, MemoryArray) and (array.shape, array.dtype) == (shape, dtype):
        return array.numpy()  # what it declares was read off the array itself
    declared = (tuple(array.shape), array.dtype, array.stype)
    if declared != (shape, dtype, "numpy.ndarray"):
        raise ProtocolError(
            f"array {name!r:.80} is declared {declared[:2]}, must be {(shape, dtype)} "
            "as .npy"
        )
    if not isinstance(array, MemoryArray):
        expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if len(array.data) > expected + _NPY_HEADER_BYTES:
            raise ProtocolError(
                f"array {name!r:.80} has {len(array.data)} bytes, must be {expected}"
            )
    values = read_npy(array, f"array {name!r:.80}")
    if values.shape != shape or _dtype_name(values.dtype) != dtype:
        raise ProtocolError(
            f"array {name!r:.80} decodes to {values.shape} {values.dtype}"
        )
    return values


def read_npy(array: Array, what: str) -> NDArray[Any]:
    """Decode an array from another machine, whatever its bytes hold.

    Parameters
    ----------
    what
        Names it in the error message.

    Raises
    ------
    ProtocolError
        If the bytes are not one .npy array of plain numbers.
    """
    # np.load also opens zip archives; those never are an array.
    if not isinstance(array, MemoryArray) and not array.data.startswith(_NPY_MAGIC):
        raise ProtocolError(f"{what} is not in .npy form")
    try:
        return array.numpy()
    except Exception as err:  # numpy evaluates the header: anything may come
        raise ProtocolError(f"{what} does not decode") from err


class WeightedSum:
    """Weighted sum of updates in fixed point: exact, so order does not matter.

    Integers add associatively; floats do not. The mean is therefore the same in every
    runtime and for every order of arrival, at a resolution of 2**-30, below the float32
    spacing of any weight larger than 0.01. One model is held, whatever the fleet.

    Examples
    --------
    Two devices, one with three times as many labels:

    >>> small, large = ({"w": np.full(2, value, np.float32)} for value in (1.0, 2.0))
    >>> total = WeightedSum(ArraySpec.of(small))
    >>> total.add(small, weight=1)
    >>> total.add(large, weight=3)
    >>> total.mean()["w"].tolist(), total.weight
    ([1.75, 1.75], 4)
    """

    def __init__(self, spec: ArraySpec) -> None:
        self._spec = spec
        size = sum(prod(shape) for shape, _ in spec.shapes.values())
        self._sum = np.zeros(size, dtype=np.int64)
        self._scaled = np.zeros(size, dtype=np.float64)  # scratch, kept between calls
        self._bound = 0.0
        self.weight = 0

    def add(self, arrays: Arrays, weight: int) -> None:
        """Add ``weight`` times the arrays, as ``ArraySpec.decode`` gave them.

        Raises
        ------
        ProtocolError
            If a value is not finite or beyond 65536 in magnitude, or the sum could
            leave the range of int64; nothing is added then.
        """
        # All arrays as one vector: few calls, however many layers a small model has.
        scaled = self._scaled
        np.concatenate([a.reshape(-1) for a in arrays.values()], out=scaled)
        # No value is larger than the norm, which is the cheapest pass over all of them.
        largest = sqrt(float(scaled @ scaled))
        if not largest <= _NORM_LIMIT:
            check_values(arrays)
            largest = max(float(scaled.max()), -float(scaled.min()))
        if not self._bound + weight * largest < _MAX_SUM:
            raise ProtocolError(
                f"sum of updates out of range: weight {weight}, value {largest:g}"
            )
        self._bound += weight * largest
        self.weight += weight
        scaled *= weight * _SCALE
        np.rint(scaled, out=scaled)
        # In int64: numpy would add int64 and float64 in float64, exact to 2**53 only.
        np.add(self._sum, scaled, out=self._sum, dtype=np.int64, casting="unsafe")

    def mean(self) -> dict[str, NDArray[Any]]:
        """Return the weighted mean, in the dtypes of the spec.

        Raises
        ------
        ZeroDivisionError
            If nothing with a positive weight was added.
        """
        if self.weight <= 0:  # numpy would divide and give NaN
            raise ZeroDivisionError("a mean needs an update of positive weight")
        flat = self._sum / (self.weight * _SCALE)
        mean, start = {}, 0
        for name, (shape, dtype) in self._spec.shapes.items():
            end = start + prod(shape)
            mean[name] = flat[start:end].reshape(shape).astype(dtype)
            start = end
        return mean
