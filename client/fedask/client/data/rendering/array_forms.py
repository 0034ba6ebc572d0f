"""Tells what an array is, and brings it into the form of a medium. Pure.

Called by the showcase for samples that are numbers, not files of a medium.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.records.exhibit import Medium
from fedask.common.errors import DataError

_CHANNELS = (1, 3, 4)  # of an image: grey, RGB, RGB and opacity
_PLOTTED_CHANNELS = (
    12  # a table with more columns than this, and few rows, is a picture
)


def medium_of(array: NDArray[Any]) -> Medium:
    """Return the medium that fits the type and the shape of an array.

    Bytes in two or three dimensions are an image. A table of numbers is a window of
    readings if it is longer than wide with few columns, and an image otherwise. A row
    of a few numbers is best read; of many, best drawn.

    Examples
    --------
    >>> medium_of(np.zeros((28, 28), dtype=np.uint8)).name
    'IMAGE'
    >>> medium_of(np.zeros((200, 3), dtype=np.float32)).name
    'SERIES'
    """
    if array.dtype.kind not in "biuf":
        return Medium.TEXT
    if array.ndim == 3 and _channels_at(array.shape) is not None:  # noqa: PLR2004  (dimensions)
        return Medium.IMAGE
    if array.ndim == 2:  # noqa: PLR2004  (dimensions)
        steps, width = array.shape
        narrow = width <= _PLOTTED_CHANNELS and steps > width
        plain = array.dtype != np.uint8 and (narrow or width == 1)
        return Medium.SERIES if plain else Medium.IMAGE
    if array.ndim == 1 and len(array) > _PLOTTED_CHANNELS:
        return Medium.SERIES
    return Medium.TEXT


def as_image(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return (h, w) or (h, w, c).

    Parameters
    ----------
    size
        (h, w) of an image that is stored as a flat vector; (0, 0): it is not.

    Raises
    ------
    DataError
        If it cannot be one.
    """
    height, width = size
    if height and width:
        plane = height * width
        if array.size % plane or array.size // plane not in _CHANNELS:
            raise DataError(
                f"a sample of {array.size} numbers is no image of {height} x "
                f"{width}: correct show="
            )
        many = array.size // plane
        array = array.reshape(size if many == 1 else (many, *size))
    if array.ndim == 3:  # noqa: PLR2004  (dimensions)
        at = _channels_at(array.shape)
        if at is not None:
            array = np.moveaxis(array, at, -1)
            return array[:, :, 0] if array.shape[2] == 1 else array
    elif array.ndim == 2:  # noqa: PLR2004  (dimensions)
        return array
    raise DataError(
        f"a sample of shape {array.shape} is no image: say show=image:HEIGHTxWIDTH, "
        "or another show="
    )


def _channels_at(shape: tuple[int, ...]) -> int | None:
    """Return which axis holds the channels: first, as sources have it, or last."""
    return next((at for at in (0, 2) if shape[at] in _CHANNELS), None)


def as_sound(array: NDArray[Any]) -> NDArray[Any]:
    """Return (frames,): the mean of the channels, of which there are fewer."""
    if array.ndim == 2:  # noqa: PLR2004  (dimensions)
        mixed: NDArray[Any] = array.mean(axis=int(array.shape[0] > array.shape[1]))
        return mixed
    if array.ndim != 1:
        raise DataError(
            f"a sample of shape {array.shape} is no sound: say another show="
        )
    return array


def as_series(array: NDArray[Any]) -> NDArray[Any]:
    """Return (t, c)."""
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2:  # noqa: PLR2004  (dimensions)
        raise DataError(
            f"a sample of shape {array.shape} is no series: say another show="
        )
    return array


def channel_names(names: Sequence[str], array: NDArray[Any]) -> tuple[str, ...]:
    """Return the names of the channels, or numbers where they do not fit."""
    width = array.shape[1] if array.ndim > 1 else 1
    if len(names) == width:
        return tuple(names)
    return ("",) if width == 1 else tuple(str(at + 1) for at in range(width))


def as_text(array: NDArray[Any], names: Sequence[str]) -> str:
    """Write a row of named numbers as a line each, anything else as numpy does."""
    if array.ndim == 1 and array.dtype.kind in "biuf" and len(names) == len(array):
        values = array.tolist()
        pairs = zip(names, values, strict=True)
        return "\n".join(f"{name}: {value:.6g}" for name, value in pairs)
    if array.ndim == 0:
        return str(array.item())
    return np.array2string(array, threshold=10_000, precision=6)


def utf8(text: str) -> bytes:
    """Encode; what was no UTF-8 in the file is shown as such, not refused."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
