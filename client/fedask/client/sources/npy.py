"""Decodes ``.npy`` bytes from a file that nobody vouches for. Called by readers."""

import io
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.sources.files import BrokenSampleError

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def decode_npy(data: bytes) -> NDArray[Any]:
    """Return the array of a ``.npy`` file.

    Raises
    ------
    BrokenSampleError
        If it is no array of plain numbers, or is cut short.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = _HEADERS[version](file)
    except Exception as err:  # numpy evaluates the header: anything may come
        msg = "is no .npy file"
        raise BrokenSampleError(msg) from err
    if dtype.kind not in "biuf" or any(side < 0 for side in shape):
        msg = f"holds {dtype} {shape}, not plain numbers"
        raise BrokenSampleError(msg)
    count = prod(shape)  # of Python's integers: never overflows
    if count * dtype.itemsize != len(data) - file.tell() or not count:
        msg = f"has {len(data) - file.tell()} bytes for {shape} of {dtype}"
        raise BrokenSampleError(msg)
    flat = np.frombuffer(data, dtype=dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
