"""Parts: arrays of a model that no training changes, each named by what it holds.

The server names the parts of its model in every message and sends each of them once; a
device keeps them, and looks them up by name. Used by both halves and by what keeps
parts. Knows numpy alone.

A part in bytes is one line, ``<f4 64,3,3`` (dtype and shape), filled with blanks to a
multiple of 64 bytes with its line break, then the values in C order, little-endian. Its
digest is the BLAKE2b-256 of these bytes: of dtype and shape as well as of the values.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.ids import PartDigest

_ALIGN = 64  # bytes; so that the values lie as numpy and torch like them
_LONGEST_LINE = 1024
_LINE = re.compile(rb"([<|])([biufc])(\d{1,2}) (\d{1,19}(?:,\d{1,19}){0,31})? *\n")


@dataclass(frozen=True, slots=True, eq=False)
class ModelPart:
    """One array with the name that its content gives it. Made by ``ModelPart.of``.

    Parameters
    ----------
    array
        Any shape and dtype of plain numbers; must not change any more.
    """

    array: NDArray[Any]
    digest: PartDigest

    @classmethod
    def of(cls, array: NDArray[Any]) -> "ModelPart":
        """Name an array.

        Examples
        --------
        >>> ModelPart.of(np.zeros(3, np.float32)).digest[:8]
        '2df45d43'
        """
        digest = hashlib.blake2b(digest_size=32)
        for piece in pieces(array):
            digest.update(piece)
        return cls(array, PartDigest(digest.hexdigest()))


def pieces(array: NDArray[Any]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a part: its line, then its values, not copied."""
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    line = f"{plain.dtype.str} {','.join(map(str, plain.shape))}".encode()
    yield line.ljust(-(len(line) + 1) % _ALIGN + len(line)) + b"\n"
    yield plain.reshape(-1).view(np.uint8).data


def from_bytes(content: bytes, digest: PartDigest) -> NDArray[Any] | None:
    """Return the array of a part, read-only; None if the bytes are not of this name.

    Parameters
    ----------
    content
        From anywhere: nothing of it is used before the digest was found right, and
        then no more than its line promises.
    """
    if hashlib.blake2b(content, digest_size=32).hexdigest() != digest:
        return None
    line = _LINE.match(content[:_LONGEST_LINE])
    if line is None:
        return None
    order, kind, size, sides = (group and group.decode() for group in line.groups())
    shape = tuple(map(int, sides.split(","))) if sides else ()
    try:
        dtype = np.dtype(f"{order}{kind}{size}")
    except TypeError:
        return None
    if line.end() % _ALIGN or len(content) != line.end() + prod(shape) * dtype.itemsize:
        return None
    return np.frombuffer(content, dtype, offset=line.end()).reshape(shape)
