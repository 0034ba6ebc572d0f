"""Writes arrays as PNG, JPEG, WAV and JSON. Called by the showcase. Pure.

Only JPEG needs a library, Pillow. Never changes what it is given, and writes nothing
but pixels, frames and numbers: what else was in a file (place, name, camera) is left.
"""

import io
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import DataError

MAX_PIXELS = 1 << 26  # as many as a source decodes
MAX_FRAMES = 1 << 24  # of all channels together
MAX_CHANNELS = 8
MAX_NUMBERS = 1 << 20  # of a series: beyond, a browser would be the one to fail
_COLOURS = {1: 0, 3: 2, 4: 6}  # channels to PNG colour type
_QUALITY = 92
_DIGITS = 6  # significant, of a plotted number


def png_of(image: NDArray[Any]) -> bytes:
    """Write an image as PNG.

    Parameters
    ----------
    image
        (h, w), (h, w, 3) or (h, w, 4). uint8 is taken as it is; bool is black and
        white; all else is scaled so that its least value is black and its largest
        white.

    Raises
    ------
    DataError
        If it has no pixel, too many, or another number of channels.
    """
    height, width, *rest = image.shape
    channels = rest[0] if rest else 1
    if not 0 < height * width <= MAX_PIXELS or channels not in _COLOURS:
        raise DataError(f"an image of {height} x {width} x {channels} cannot be shown")
    pixels = bytes_of(image).reshape(height, width * channels)
    lines = np.zeros((height, width * channels + 1), dtype=np.uint8)  # 0: no filter
    lines[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = (
        _chunk(b"IHDR", header),
        _chunk(b"IDAT", zlib.compress(lines.tobytes(), level=1)),  # speed: it is local
        _chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_of(image: NDArray[np.uint8]) -> bytes:
    """Write an image as JPEG, so finely that the eye sees no difference.

    Parameters
    ----------
    image
        (h, w) or (h, w, 3).

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    from PIL import Image  # noqa: PLC0415  (optional)

    written = io.BytesIO()
    # No subsampling: coloured edges stay sharp.
    Image.fromarray(image).save(written, "JPEG", quality=_QUALITY, subsampling=0)
    return written.getvalue()


def shrunk(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image whose longer side has at most so many pixels.

    Parameters
    ----------
    image
        (h, w) or (h, w, c) uint8.

    Raises
    ------
    ImportError
        If it is larger, and Pillow is not installed.
    """
    high, wide = image.shape[:2]
    if max(high, wide) <= side:
        return image
    from PIL import Image  # noqa: PLC0415  (optional)

    share = side / max(high, wide)
    size = max(1, round(wide * share)), max(1, round(high * share))
    small = Image.fromarray(image).resize(
        size, Image.Resampling.LANCZOS, reducing_gap=2.0
    )
    return np.asarray(small)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def bytes_of(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale an image to bytes, as ``png_of`` says."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = (0.0, 1.0) if image.dtype == bool else (values.min(), values.max())
    span = high - low
    if not 0.0 < span < np.inf:  # one colour, or numbers beyond all use
        return np.full(image.shape, 127, dtype=np.uint8)
    return np.rint((values - low) * (255.0 / span)).astype(np.uint8)


def wav_of(sound: NDArray[Any], rate_hz: int) -> bytes:
    """Write a sound as WAV, 16-bit PCM.

    Parameters
    ----------
    sound
        (frames,) or (frames, channels). Floats are in [-1, 1]; if one is beyond, all
        are made softer together. Integers are scaled by the range of their type,
        unsigned ones around its middle.
    rate_hz
        Frames per second.

    Raises
    ------
    DataError
        If there is no frame, or too many, or too many channels.
    """
    channels = sound.shape[1] if sound.ndim > 1 else 1
    if not 0 < sound.size <= MAX_FRAMES or channels > MAX_CHANNELS:
        raise DataError(
            f"a sound of {len(sound)} frames in {channels} channels cannot be played"
        )
    if sound.dtype.kind in "iu":
        kind = np.iinfo(sound.dtype)
        middle = 0.0 if kind.min else (kind.max + 1) / 2
        values = (sound.astype(np.float64) - middle) / (float(kind.max) + 1 - middle)
    else:
        values = np.nan_to_num(sound.astype(np.float64), posinf=1.0, neginf=-1.0)
        values = values / max(1.0, float(np.abs(values).max()))
    pcm = np.clip(np.rint(values * 32767), -32768, 32767).astype("<i2").tobytes()
    width = 2 * channels  # bytes of a frame
    form = struct.pack(
        "<4sIHHIIHH",
        b"fmt ",
        16,
        1,
        channels,
        rate_hz,
        width * rate_hz,
        width,
        16,
    )
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(pcm)) + pcm
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def series_of(rows: NDArray[Any], names: Sequence[str]) -> bytes:
    """Write readings as JSON: names of the channels, and a row per time step.

    Parameters
    ----------
    rows
        (t, c). Numbers are rounded to six digits; what is not finite becomes null.
    names
        c of them.

    Raises
    ------
    DataError
        If there is no number, or too many to be drawn.
    """
    if not 0 < rows.size <= MAX_NUMBERS:
        raise DataError(
            f"a window of {rows.shape[0]} x {rows.shape[1]} numbers cannot be drawn"
        )
    values = rows.astype(np.float64)
    listed = [[_rounded(value) for value in row] for row in values.tolist()]
    return json.dumps({"names": list(names), "rows": listed}, allow_nan=False).encode()


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
