"""Writes wav files as programs write them, chunk by chunk."""

import struct

import numpy as np
from numpy.typing import NDArray

GUID = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    """Return a chunk; ``size`` is what it says of itself, by default the truth."""
    told = len(body) if size is None else size
    return name + struct.pack(f"{order}I", told) + body + b"\0" * (len(body) % 2)


def wave_format(
    code: int, channels: int, rate: int, bits: int, order: str = "<"
) -> bytes:
    """Return the plain format of 16 bytes."""
    frame = channels * ((bits + 7) // 8)
    fields = code, channels, rate, rate * frame, frame, bits
    return struct.pack(f"{order}HHIIHH", *fields)


def extensible(code: int, channels: int, rate: int, bits: int) -> bytes:
    """Return the extensible format of 40 bytes."""
    plain = wave_format(0xFFFE, channels, rate, bits)
    return plain + struct.pack("<HHIH", 22, bits, 0, code) + GUID


def riff(*chunks: bytes, size: int | None = None, order: str = "<") -> bytes:
    """Return a file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    name = b"RIFF" if order == "<" else b"RIFX"
    told = len(body) if size is None else size
    return name + struct.pack(f"{order}I", told) + body


def wav(
    values: NDArray[np.generic], rate: int = 8000, *, extended: bool = False
) -> bytes:
    """Return a file of (f,) or (f, channels) uint8, int16, int32 or floats."""
    code = 3 if values.dtype.kind == "f" else 1
    channels = 1 if values.ndim == 1 else values.shape[1]
    write = extensible if extended else wave_format
    form = write(code, channels, rate, 8 * values.itemsize)
    return riff(chunk(b"fmt ", form), chunk(b"data", values.tobytes()))
