"""Draws parts of a sample in a terminal: half blocks for images, bars for curves.

Called by ``fedask device label``. Reads only what ``showcase`` wrote: PNG of 8 bits
without filters or interlace, JPEG, WAV of 16 bits.
"""

import json
import struct
import wave
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from fedask.client.records.exhibit import Medium, Part

_BARS = " ▁▂▃▄▅▆▇█"
_PNG_START = 8  # bytes of the signature
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by PNG colour type
_ALPHA = frozenset({4, 6})
MAX_ROWS = 48  # of pixels; half as many lines


def picture(part: Part, width: int) -> Text:
    """Draw one part, at most ``width`` columns wide, and say what it does not show."""
    drawn = _drawn(part, width)
    for remark in _remarks(part):
        drawn.append(f"\n{remark}")
    return drawn


def _drawn(part: Part, width: int) -> Text:
    match part.medium:
        case Medium.IMAGE:
            return _image(read_png(part.content), width)
        case Medium.JPEG:
            return _image(_read_jpeg(part.content), width)
        case Medium.AUDIO:
            return _sound(part.content, width)
        case Medium.SERIES:
            return _series(part.content, width)
        case Medium.TEXT:
            return Text(part.content.decode())


def _remarks(part: Part) -> Iterator[str]:
    remark = part.remark
    if remark.has_more_frames:
        yield "the first of several frames"
    if remark.seconds:
        yield f"the beginning of {remark.seconds:.1f} s"
    if remark.model_reads:
        sound = part.medium is Medium.AUDIO
        much = f"{remark.model_reads:.1f} s" if sound else f"{remark.model_reads:.0f}"
        yield f"the model {'hears' if sound else 'reads'} the first {much}" + (
            "" if sound else " characters"
        )


def read_png(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels: (h, w, 3) uint8."""
    pieces, at, head = [], _PNG_START, b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        head = body if kind == b"IHDR" else head
        if kind == b"IDAT":
            pieces.append(body)
        at += length + 12
    width, height, _, colour = struct.unpack_from(">IIBB", head)
    channels = _CHANNELS[colour]
    rows = np.frombuffer(zlib.decompress(b"".join(pieces)), np.uint8)
    pixels = rows.reshape(height, 1 + width * channels)[:, 1:]
    pixels = pixels.reshape(height, width, channels)
    if colour in _ALPHA:
        pixels = pixels[:, :, :-1]
    return np.broadcast_to(pixels, (height, width, 3)).astype(np.uint8)


def _read_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels: (h, w, 3) uint8."""
    from PIL import Image  # noqa: PLC0415  (optional: it wrote the JPEG)

    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        return np.array(image.convert("RGB"))


def _image(pixels: NDArray[np.uint8], width: int) -> Text:
    """Draw two pixels per character, one above the other: they are about square."""
    high, wide = pixels.shape[:2]
    scale = max(1.0, wide / width, high / MAX_ROWS)
    rows, columns = max(1, round(high / scale)), max(1, round(wide / scale))
    small = _averaged(pixels, rows, columns)
    if len(small) % 2:
        small = np.concatenate([small, small[-1:]])
    drawn = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            drawn.append("▀", style)
        drawn.append("\n")
    return drawn


def _averaged(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Return (rows, columns, 3): each the mean of the pixels that it stands for."""
    down = np.linspace(0, len(pixels), rows + 1).astype(int)
    across = np.linspace(0, pixels.shape[1], columns + 1).astype(int)
    sums = np.add.reduceat(pixels, down[:-1], axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, across[:-1], axis=1)
    means = sums / np.outer(np.diff(down), np.diff(across))[:, :, None]
    averaged: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return averaged


def _sound(data: bytes, width: int) -> Text:
    """Draw how loud a sound is over time, and write how long it is."""
    with wave.open(BytesIO(data)) as file:
        rate, frames = file.getframerate(), file.getnframes()
        values = np.frombuffer(file.readframes(frames), "<i2").astype(np.float64)
        samples = np.abs(values).reshape(frames, -1).max(axis=1)
    loud = [float(np.abs(p).max()) for p in _pieces(samples, width)]
    return Text(f"{_bars(loud, 0.0, 32768.0)}\n{frames / rate:.1f} s at {rate} Hz")


def _series(data: bytes, width: int) -> Text:
    """Draw a line of bars per channel, with its range."""
    series = json.loads(data)
    names = series["names"]
    values = np.array(series["rows"], dtype=np.float64).reshape(-1, len(names))
    drawn = Text()
    wide = max(map(len, names))
    for name, column in zip(names, values.T, strict=True):
        means = [float(piece.mean()) for piece in _pieces(column, width - wide - 20)]
        low, high = float(column.min()), float(column.max())
        drawn.append(
            f"{name:>{wide}} {_bars(means, low, high)} {low:.3g}..{high:.3g}\n"
        )
    return drawn


def _pieces(values: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Cut into at most ``count`` pieces of about one length."""
    edges = np.linspace(0, len(values), min(max(1, count), len(values)) + 1).astype(int)
    return [values[start:stop] for start, stop in pairwise(edges.tolist())]


def _bars(values: Sequence[float], low: float, high: float) -> str:
    span = (high - low) or 1.0
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / span * steps)] for value in values)
