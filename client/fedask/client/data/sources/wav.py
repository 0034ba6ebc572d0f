"""Reads wav files of PCM and float, whoever wrote them. Called by ``SoundReader``.

Python's own ``wave`` reads other files in each version, and no float in any. What a
header does not say beyond doubt is refused: noise must never be taken for a sound.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError

MAX_RATE_HZ = 1 << 20  # beyond what records ultrasound
_ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
_LONG = frozenset({b"RF64", b"BW64"})  # the data may have a size of 64 bits, in "ds64"
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_NAMES = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "ADPCM", 0x31: "GSM", 0x55: "MP3"}
_GUID = {  # what follows the format in the extensible header
    "<": bytes.fromhex("0000 1000 8000 00aa00389b71"),
    ">": bytes.fromhex("0000 0010 8000 00aa00389b71"),
}
# A program that writes into a pipe cannot come back to fill in a size: it leaves 0, or
# one that no file has which is read here (the smallest is SoX's).
_UNKNOWN = 0x7FFF0000
# Some writers leave out the byte that pads a chunk of odd length.
_CHUNKS = frozenset({b"data", b"fmt ", b"fact", b"LIST"})
_LOUDEST = 4.0  # of floats, whose full scale is 1: 12 dB above it


@dataclass(frozen=True, slots=True, kw_only=True)
class WavHeader:
    """How the values of a wav file are written.

    Parameters
    ----------
    rate_hz
        Frames per second.
    channels
        Values in a frame.
    form
        Of a value: ``"i"`` or ``"f"``, and its bytes.
    order
        ``"<"`` or ``">"``, as numpy names the order of bytes.
    start, count
        Where the frames begin, in bytes, and how many there are.
    """

    rate_hz: int
    channels: int
    form: str
    order: str
    start: int
    count: int


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


def wav_header(data: bytes) -> WavHeader:
    """Read the header of a wav file.

    Raises
    ------
    BrokenSampleError
        If it is no wav file of PCM or float, says what cannot be, is cut short, or has
        no frame.
    """
    order = _ORDERS.get(data[:4])
    if order is None or data[8:12] != b"WAVE":
        raise BrokenSampleError("is no wav file")
    found: dict[bytes, bytes] = {}
    for chunk in _chunks(data, order):
        if chunk.name == b"data":
            size = _data_size(data, order, chunk, found.get(b"ds64", b""))
            return _checked(order, found.get(b"fmt ", b""), chunk.start, size)
        found[chunk.name] = data[chunk.start : chunk.start + min(chunk.size, 64)]
    raise BrokenSampleError("is cut short: it has no data")


def _chunks(data: bytes, order: str) -> Iterator[_Chunk]:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, at)
        yield _Chunk(name, at + 8, size)
        at += 8 + size
        if size % 2 and data[at : at + 4] not in _CHUNKS:
            at += 1


def _data_size(data: bytes, order: str, chunk: _Chunk, ds64: bytes) -> int:
    """Return how many bytes of frames there are.

    Raises
    ------
    BrokenSampleError
        If they are fewer than the file says.
    """
    (whole,) = struct.unpack_from(f"{order}I", data, 4)
    size, rest = chunk.size, len(data) - chunk.start
    if data[:4] in _LONG and size >= _UNKNOWN and len(ds64) >= 16:  # noqa: PLR2004
        size = struct.unpack_from("<Q", ds64, 8)[0] or _UNKNOWN
    # Of a size of 0, what is said of the whole tells whether something follows.
    ends_here = not whole or whole >= _UNKNOWN or whole + 8 <= chunk.start
    if size >= _UNKNOWN or (not size and ends_here):
        return rest
    if size > rest:
        raise BrokenSampleError(f"is cut short: {rest} bytes of {size}")
    return size


def _checked(order: str, fmt: bytes, start: int, size: int) -> WavHeader:
    """Make sense of a format; its fields are told apart by length."""
    if len(fmt) < 16:  # noqa: PLR2004  (bytes of the shortest format)
        raise BrokenSampleError("does not say its format before its data")
    code, channels, rate, _, frame, bits = struct.unpack_from(f"{order}HHIIHH", fmt)
    if code == _EXTENSIBLE:
        code = _extended(order, fmt)
    if code not in {_PCM, _FLOAT}:
        name = f" ({_NAMES[code]})" if code in _NAMES else ""
        raise BrokenSampleError(f"has wav format {code:#06x}{name}, not PCM or float")
    width = -(-bits // 8)
    if width not in ((1, 2, 3, 4) if code == _PCM else (4, 8)):
        kind = "8, 16, 24 or 32" if code == _PCM else "32 or 64 as float"
        raise BrokenSampleError(f"has {bits} bits per sample, not {kind}")
    if not channels or frame not in {0, channels * width}:
        raise BrokenSampleError(
            f"contradicts itself: {channels} channels of {bits} bits in {frame} bytes"
        )
    if not 0 < rate <= MAX_RATE_HZ:
        raise BrokenSampleError(f"has {rate} frames per second")
    if size < channels * width:
        raise BrokenSampleError("is cut short: it has no frame")
    return WavHeader(
        rate_hz=rate,
        channels=channels,
        form=f"{'i' if code == _PCM else 'f'}{width}",
        order=order,
        start=start,
        count=size // (channels * width),
    )


def _extended(order: str, fmt: bytes) -> int:
    """Return the format that the extensible header names; 0xFFFE: none of its kind."""
    if len(fmt) < 40 or fmt[28:40] != _GUID[order]:  # noqa: PLR2004  (its bytes)
        return _EXTENSIBLE
    return int(struct.unpack_from(f"{order}I", fmt, 24)[0])


def wav_values(data: bytes) -> tuple[NDArray[Any], float, int]:
    """Return the values of a wav file.

    Returns
    -------
    tuple
        (f, channels) int32, float32 or float64; the magnitude that stands for 1; and
        the frames per second.

    Raises
    ------
    BrokenSampleError
        As ``wav_header``, or if its floats are no sound.
    """
    header = wav_header(data)
    width = int(header.form[1:])
    length = header.count * header.channels * width
    raw = data[header.start : header.start + length]
    if header.form.startswith("f"):
        floats = _sound(np.frombuffer(raw, dtype=header.order + header.form))
        return floats.reshape(-1, header.channels), 1.0, header.rate_hz
    values = _integers(raw, width, header.order).reshape(-1, header.channels)
    return values, float(1 << (8 * width - 1)), header.rate_hz


def _integers(pcm: bytes, width: int, order: str) -> NDArray[np.int32]:
    """Return signed numbers of ``width`` bytes each."""
    if width == 1:  # the only width without a sign
        return np.frombuffer(pcm, dtype=np.uint8).astype(np.int32) - 128
    values = np.frombuffer(pcm, dtype=np.uint8).reshape(-1, width)
    # Up to the top bytes of four: the sign comes along.
    wide = np.zeros((len(values), 4), dtype=np.uint8)
    wide[:, 4 - width :] = values if order == "<" else values[:, ::-1]
    signed: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8 * (4 - width)
    return signed


def _sound(values: NDArray[Any]) -> NDArray[Any]:
    """Return floats in [-1, 1]: what is above full scale is cut, as it is played.

    Raises
    ------
    BrokenSampleError
        If they are not finite, or so large that nobody can tell what stands for 1.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BrokenSampleError("holds NaN or infinity")
    loudest = max(-low, high)
    if loudest > _LOUDEST:
        raise BrokenSampleError(
            f"has floats up to {loudest:g}, where 1 is full scale: write it as PCM, "
            "or divide it"
        )
    return np.asarray(np.clip(values, -1.0, 1.0), dtype=values.dtype.newbyteorder("="))
