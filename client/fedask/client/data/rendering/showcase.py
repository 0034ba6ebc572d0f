"""Turns samples of a pool into what people can look at or listen to.

Called by whatever people label with, through ``Exhibit``. Pure but for the pool: the
same sample gives the same bytes. People get the original, not what it became for the
model, as large as a screen needs or in full; nothing of it is written anywhere.

What an array is taken for follows from the kind of data that the owner named, or from
its type and shape; ``show=`` in the options of the data overrules both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.data.rendering.array_forms import (
    as_image,
    as_series,
    as_sound,
    as_text,
    channel_names,
    medium_of,
    utf8,
)
from fedask.client.data.rendering.encoding import (
    MAX_CHANNELS,
    bytes_of,
    jpeg_of,
    png_of,
    series_of,
    shrunk,
    wav_of,
)
from fedask.client.records.exhibit import Exhibit, Medium, Part, Remark
from fedask.client.records.original import Original
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid

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
_SMALL_PIXELS = 1 << 16  # an image that is never worth a JPEG
_WAV_HEAD_BYTES = 44


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """How much of an original is shown.

    Parameters
    ----------
    side
        Most pixels on the longer side of an image; 0 = all.
    most_bytes
        Of a PNG, beyond which an image is written as JPEG; of a sound, beyond which
        only its beginning is given.
    """

    side: int
    most_bytes: int


# Most screens show no more, and three of them load while one is looked at.
SCREEN = Detail(side=1600, most_bytes=4 << 20)
FULL = Detail(side=0, most_bytes=32 << 20)


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
        return self._drawn(uid, SCREEN)

    @override
    def full_parts(self, uid: Uid) -> tuple[Part, ...]:
        return self._drawn(uid, FULL)

    def _drawn(self, uid: Uid, detail: Detail) -> tuple[Part, ...]:
        originals = self._pool.originals(uid, detail.side)
        return tuple(
            part_of(name, original, self._shows.get(name, Show()), detail)
            for name, original in originals.items()
        )


def part_of(name: str, original: Original, show: Show, detail: Detail = SCREEN) -> Part:
    """Write one field of a sample in the form of its medium.

    Parameters
    ----------
    name
        Of the field; ``ONLY`` if there is no other.
    original
        A text, or an array: an image (h, w), (h, w, c) or (c, h, w); a sound (frames,)
        or (frames, channels); a window (t, c).
    show
        What to take it for.
    detail
        How much of it to show.

    Raises
    ------
    DataError
        If it cannot be shown as that.
    """
    raw = original.content
    if isinstance(raw, str):
        remark = Remark(model_reads=original.model_reads)
        return Part(name=name, medium=Medium.TEXT, content=utf8(raw), remark=remark)
    array = np.asarray(raw)
    medium = show.medium or _medium_of(original, array)
    if array.dtype.kind not in "biuf":
        medium = Medium.TEXT
    if medium is Medium.IMAGE:
        return _image(name, array, original, show, detail)
    if medium is Medium.AUDIO:
        return _sound(name, array, original, show, detail)
    if medium is Medium.SERIES:
        content = series_of(as_series(array), channel_names(show.names, array))
    else:
        content = utf8(as_text(array, show.names))
    return Part(name=name, medium=medium, content=content)


def _medium_of(original: Original, array: NDArray[Any]) -> Medium:
    if original.rate_hz:
        return Medium.AUDIO
    return Medium.IMAGE if original.width else medium_of(array)


def _image(
    name: str, array: NDArray[Any], original: Original, show: Show, detail: Detail
) -> Part:
    """Write an image: as PNG, or as JPEG where that is no loss or saves a lot."""
    pixels = bytes_of(
        array if original.width else as_image(array, (show.height, show.width))
    )
    high, wide = pixels.shape[:2]
    width, height = original.width or wide, original.height or high
    medium, content = Medium.IMAGE, b""
    try:
        if detail.side:
            pixels = shrunk(pixels, detail.side)
        if not original.is_lossy or high * wide <= _SMALL_PIXELS:
            content = png_of(pixels)
        if not content or _is_large(content, pixels, detail):
            medium, content = Medium.JPEG, jpeg_of(pixels)
    except ImportError:  # without Pillow, as it is
        content = content or png_of(pixels)
    is_whole = pixels.shape[:2] == (height, width)
    remark = Remark(
        width=0 if is_whole else width,
        height=0 if is_whole else height,
        has_more_frames=original.has_more_frames,
    )
    return Part(name=name, medium=medium, content=content, remark=remark)


def _is_large(png: bytes, pixels: NDArray[np.uint8], detail: Detail) -> bool:
    """Tell whether an image is better written as JPEG, which knows no opacity."""
    has_opacity = pixels.ndim > 2 and pixels.shape[2] > 3  # noqa: PLR2004  (RGB)
    return len(png) > detail.most_bytes and not has_opacity


def _sound(
    name: str, array: NDArray[Any], original: Original, show: Show, detail: Detail
) -> Part:
    """Write a sound at its own rate, with its channels; the beginning of a long one."""
    sound = array if original.rate_hz else as_sound(array)
    if sound.ndim > 1 and sound.shape[1] > MAX_CHANNELS:
        sound = sound.mean(axis=1)
    rate_hz = show.rate_hz or original.rate_hz or DEFAULT_RATE_HZ
    channels = sound.shape[1] if sound.ndim > 1 else 1
    frames = (detail.most_bytes - _WAV_HEAD_BYTES) // (2 * channels)
    remark = Remark(
        seconds=len(sound) / rate_hz if len(sound) > frames else 0.0,
        model_reads=original.model_reads,
    )
    content = wav_of(sound[:frames], rate_hz)
    return Part(name=name, medium=Medium.AUDIO, content=content, remark=remark)
