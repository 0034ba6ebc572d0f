"""Decodes the idx format of MNIST, and refuses damaged files. Called by ``readers``."""

import gzip
import io
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import DataError

_DEFLATE_RATIO = 1032  # the most that deflate can expand (zlib, "Maximum expansion")
_MAX_IDX_BYTES = 4 * 2**30  # unpacked; a simulated fleet shares one machine's memory
_IDX_UBYTE = 0x08  # type code of unsigned bytes, the third byte of the magic number


def decode_idx(raw: bytes, name: str, axes: int) -> NDArray[np.uint8]:
    """Decode an idx file of unsigned bytes, the format of MNIST.

    Parameters
    ----------
    raw
        The file as it is on disk.
    name
        Its name, for messages; one that ends in ``.gz`` is unpacked.
    axes
        Number of axes that it must have: 3 for images, 1 for labels.

    Returns
    -------
    NDArray
        uint8 of the shape in the header, read-only.

    Raises
    ------
    DataError
        If the magic number is wrong, or the header declares more or less than the
        file holds. Never unpacks more than one byte over what the header declares.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File
    formats": two zero bytes, type code, number of axes, big-endian sizes, data.
    """
    packed = name.endswith(".gz")
    most = min(len(raw) * (_DEFLATE_RATIO if packed else 1), _MAX_IDX_BYTES)
    try:
        with gzip.open(io.BytesIO(raw)) if packed else io.BytesIO(raw) as stream:
            shape = _idx_shape(stream.read(4 + 4 * axes), name, axes)
            size = math.prod(shape)
            if size > most:
                raise DataError(
                    f"{name} declares {size} bytes, more than it can hold ({most})"
                )
            body = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"cannot unpack {name}: {err}") from err
    if len(body) != size:
        have = "more" if len(body) > size else str(len(body))
        raise DataError(f"{name} declares {size} bytes {shape} but holds {have}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _idx_shape(header: bytes, name: str, axes: int) -> tuple[int, ...]:
    """Check the magic number and return the sizes after it."""
    magic = bytes([0, 0, _IDX_UBYTE, axes])
    if header[:4] != magic or len(header) != 4 + 4 * axes:
        raise DataError(
            f"{name} is no idx file of bytes with {axes} axes: it begins with "
            f"{header[:4].hex() or 'nothing'}, not {magic.hex()} and {axes} sizes"
        )
    return tuple(np.frombuffer(header, dtype=">u4", offset=4).tolist())
