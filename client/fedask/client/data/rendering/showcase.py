"""Turns raw samples of a pool into what people can look at or listen to.

Called by whatever people label with, through ``Exhibit``. Pure but for the pool: the
same sample gives the same bytes. Never scales, filters or cuts what the model sees
beyond what the medium needs, and never writes a sample anywhere.

What an array is taken for follows from the kind of data that the owner named, or from
its type and shape; ``show=`` in the options of the data overrules both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.data.rendering.encoding import png_of, series_of, wav_of
from fedask.client.records.exhibit import Exhibit, Medium, Part
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid

ONLY = ""  # name of the field where a sample has no other
MEDIA = {
    "image": Medium.IMAGE,
    "audio": Medium.AUDIO,
    "series": Medium.SERIES,
    "text": Medium.TEXT,
}
# What speech is recorded at; also the default length of ``sounds`` is a second of it.
DEFAULT_RATE_HZ = 16_000
MAX_RATE_HZ = 768_000
_COUNT = "[1-9][0-9]{0,5}"  # a whole number from 1 to 999999
_CHANNELS = (1, 3, 4)  # of an image: grey, RGB, RGB and opacity
_PLOTTED_CHANNELS = (
    12  # a table with more columns than this, and few rows, is a picture
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """How one field of a sample is shown.

    Parameters
    ----------
    medium
        None: told from each array.
    height, width
        In pixels, of an image that is stored as a flat vector; 0 = it is not.
    rate_hz
        Frames per second of a sound; 0 = ``DEFAULT_RATE_HZ``.
    names
        Of the channels of a series; () numbers them.
    """

    medium: Medium | None = None
    height: int = 0
    width: int = 0
    rate_hz: int = 0
    names: tuple[str, ...] = ()

    def overridden(self, text: str) -> "Show":
        """Return this with the medium that the option ``show`` names.

        Raises
        ------
        ConfigError
            If it is none of these.
        """
        if text in MEDIA:
            return replace(self, medium=MEDIA[text])
        if size := re.fullmatch(f"image:({_COUNT})x({_COUNT})", text):
            height, width = map(int, size.groups())
            return replace(self, medium=Medium.IMAGE, height=height, width=width)
        rate = re.fullmatch(f"audio:({_COUNT})", text)
        if rate and int(rate[1]) <= MAX_RATE_HZ:
            return replace(self, medium=Medium.AUDIO, rate_hz=int(rate[1]))
        raise ConfigError(
            f"show = {text!r:.40} must be image, image:HEIGHTxWIDTH, audio, audio:HZ, "
            "series or text"
        )


class Showcase(Exhibit):
    """Shows the samples of a pool.

    Parameters
    ----------
    shows
        Name of a field to how it is shown; ``ONLY`` for samples of one field. Fields
        that are not named are told from their arrays.
    """

    def __init__(self, pool: Pool, shows: Mapping[str, Show] | None = None) -> None:
        self._pool = pool
        self._shows = dict(shows or {})

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        raw = self._pool.load([uid])[0]
        names = getattr(getattr(raw, "dtype", None), "names", None)
        if names is None:
            return (part_of(ONLY, raw, self._shows.get(ONLY, Show())),)
        return tuple(
            part_of(name, raw[name], self._shows.get(name, Show())) for name in names
        )


def part_of(name: str, raw: NDArray[Any] | str, show: Show) -> Part:
    """Write one field of a raw sample in the form of its medium.

    Parameters
    ----------
    name
        Of the field; ``ONLY`` if there is no other.
    raw
        A text, or an array: an image (h, w), (h, w, c) or (c, h, w); a sound (frames,);
        a window (t, c).
    show
        What to take it for.

    Raises
    ------
    DataError
        If it cannot be shown as that.
    """
    if isinstance(raw, str):
        return Part(name=name, medium=Medium.TEXT, content=_utf8(raw))
    array = np.asarray(raw)
    medium = show.medium or medium_of(array)
    if array.dtype.kind not in "biuf":
        medium = Medium.TEXT
    if medium is Medium.IMAGE:
        content = png_of(_as_image(array, show))
    elif medium is Medium.AUDIO:
        content = wav_of(_as_sound(array), show.rate_hz or DEFAULT_RATE_HZ)
    elif medium is Medium.SERIES:
        content = series_of(_as_series(array), _names(show.names, array))
    else:
        content = _utf8(_as_text(array, show.names))
    return Part(name=name, medium=medium, content=content)


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


def _as_image(array: NDArray[Any], show: Show) -> NDArray[Any]:
    """Return (h, w) or (h, w, c)."""
    if show.height and show.width:
        plane = show.height * show.width
        if array.size % plane or array.size // plane not in _CHANNELS:
            raise DataError(
                f"a sample of {array.size} numbers is no image of {show.height} x "
                f"{show.width}: correct show="
            )
        many = array.size // plane
        shape = (show.height, show.width) if many == 1 else (many, *_size(show))
        array = array.reshape(shape)
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


def _size(show: Show) -> tuple[int, int]:
    return show.height, show.width


def _channels_at(shape: tuple[int, ...]) -> int | None:
    """Return which axis holds the channels: first, as sources have it, or last."""
    return next((at for at in (0, 2) if shape[at] in _CHANNELS), None)


def _as_sound(array: NDArray[Any]) -> NDArray[Any]:
    """Return (frames,): the mean of the channels, of which there are fewer."""
    if array.ndim == 2:  # noqa: PLR2004  (dimensions)
        mixed: NDArray[Any] = array.mean(axis=int(array.shape[0] > array.shape[1]))
        return mixed
    if array.ndim != 1:
        raise DataError(
            f"a sample of shape {array.shape} is no sound: say another show="
        )
    return array


def _as_series(array: NDArray[Any]) -> NDArray[Any]:
    """Return (t, c)."""
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2:  # noqa: PLR2004  (dimensions)
        raise DataError(
            f"a sample of shape {array.shape} is no series: say another show="
        )
    return array


def _names(names: Sequence[str], array: NDArray[Any]) -> tuple[str, ...]:
    """Return the names of the channels, or numbers where they do not fit."""
    width = array.shape[1] if array.ndim > 1 else 1
    if len(names) == width:
        return tuple(names)
    return ("",) if width == 1 else tuple(str(at + 1) for at in range(width))


def _as_text(array: NDArray[Any], names: Sequence[str]) -> str:
    """Write a row of named numbers as a line each, anything else as numpy does."""
    if array.ndim == 1 and array.dtype.kind in "biuf" and len(names) == len(array):
        values = array.tolist()
        pairs = zip(names, values, strict=True)
        return "\n".join(f"{name}: {value:.6g}" for name, value in pairs)
    if array.ndim == 0:
        return str(array.item())
    return np.array2string(array, threshold=10_000, precision=6)


def _utf8(text: str) -> bytes:
    """Encode; what was no UTF-8 in the file is shown as such, not refused."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
