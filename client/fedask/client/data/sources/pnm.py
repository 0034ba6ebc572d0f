"""Binary PGM and PPM images: the formats that need no library. Called by images."""

import re

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError

# "P5" or "P6", then width, height and largest value, with white space and comments.
_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + (_GAP + rb"(\d{1,9})") * 2 + _GAP + rb"(\d{1,5})\s")


def decode_pnm(data: bytes) -> NDArray[np.uint8]:
    """Return the first image of a binary PGM or PPM file.

    Parameters
    ----------
    data
        Content of the file; at most 255 levels.

    Returns
    -------
    NDArray
        (h, w) uint8 of a PGM, (3, h, w) of a PPM, in [0, 255].

    Raises
    ------
    BrokenSampleError
        If it is no such image, or is cut short.
    """
    header = _HEADER.match(data[:4096])
    if header is None:
        msg = "is no binary PGM or PPM image"
        raise BrokenSampleError(msg)
    kind, width, height, levels = (int(group) for group in header.groups())
    if not 0 < levels <= 255 or not width * height:  # noqa: PLR2004  (one byte a value)
        msg = f"is an image of {width} x {height} with {levels} levels"
        raise BrokenSampleError(msg)
    channels = 3 if kind == 6 else 1  # noqa: PLR2004  (P6)
    pixels = np.frombuffer(data, dtype=np.uint8, offset=header.end())
    count = width * height * channels
    if len(pixels) < count:
        msg = "is cut short"
        raise BrokenSampleError(msg)
    image = pixels[:count].reshape(height, width, channels)
    if levels != 255:  # noqa: PLR2004  (one byte a value)
        scaled = image.astype(np.uint32) * 255 // levels
        image = np.minimum(scaled, 255).astype(np.uint8)
    return channels_first(image)


def channels_first(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (h, w, 1) into (h, w) and (h, w, 3) into (3, h, w), as torch wants it."""
    if image.shape[2] == 1:
        return image[:, :, 0]
    return np.ascontiguousarray(image.transpose(2, 0, 1))
