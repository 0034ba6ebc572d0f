"""Brings a sound to another rate. Called by ``SoundReader``, for models alone.

Here and not by a package, so that every device of a fleet gets the same samples.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_RATIO = 64  # between two rates
_CROSSINGS = 24  # of zero by the kernel, on each side
_ROLL_OFF = 0.92  # of the band that both rates hold: the rest is the filter's slope
_BETA = 8.0  # of the Kaiser window: what folds back is 80 dB down
_MOST_PHASES = 1 << 10  # whose kernels are kept; beyond it they are made anew
_PIECE = 1 << 10  # frames made at once


def resampled(
    sound: NDArray[np.float32], rate_hz: int, wanted_hz: int, frames: int
) -> NDArray[np.float32]:
    """Return the beginning of a sound at another rate, without aliases.

    Parameters
    ----------
    sound
        (f,) float32.
    rate_hz, wanted_hz
        Its frames per second, and those wanted; at most ``MAX_RATIO`` apart.
    frames
        Most frames to make.

    Returns
    -------
    NDArray
        (min(frames, f * wanted_hz / rate_hz, rounded up),) float32 in [-1, 1]; the
        first frame is at the same time as that of the sound.

    Notes
    -----
    Each frame is a sum over its neighbours, weighted by a sinc in a Kaiser window and
    brought to a sum of 1. Beyond its ends a sound is silent.

    References
    ----------
    J. O. Smith, P. Gossett. A flexible sampling-rate conversion method. ICASSP 1984.

    Examples
    --------
    >>> resampled(np.ones(400, dtype=np.float32), 16_000, 8_000, 300)[100:103]
    array([1., 1., 1.], dtype=float32)
    """
    divisor = math.gcd(rate_hz, wanted_hz)
    up, down = wanted_hz // divisor, rate_hz // divisor
    half = math.ceil(_CROSSINGS * max(1.0, down / up))
    count = min(frames, -(-len(sound) * up // down))
    reach = np.arange(1 - half, half + 1)
    last = (count - 1) * down // up + half + 1
    padded = np.zeros(half - 1 + last, dtype=np.float64)
    used = sound[:last]
    padded[half - 1 : half - 1 + len(used)] = used
    made = np.empty(count, dtype=np.float32)
    for start in range(0, count, _PIECE):
        at = np.arange(start, min(start + _PIECE, count), dtype=np.int64) * down
        near = padded[(at // up)[:, None] + reach + (half - 1)]
        made[start : start + _PIECE] = (near * _weights(at % up, up, down)).sum(axis=1)
    return np.clip(made, -1.0, 1.0)


def _weights(phases: NDArray[np.int64], up: int, down: int) -> NDArray[np.float64]:
    """Return the kernel of each phase, a fraction ``phases / up`` of a frame."""
    if up <= _MOST_PHASES:
        return _bank(up, down)[phases]
    return _kernels(phases, up, down)


@lru_cache(maxsize=4)  # the sounds of a folder have a few rates
def _bank(up: int, down: int) -> NDArray[np.float64]:
    return _kernels(np.arange(up), up, down)


def _kernels(phases: NDArray[np.int64], up: int, down: int) -> NDArray[np.float64]:
    half = math.ceil(_CROSSINGS * max(1.0, down / up))
    band = _ROLL_OFF * min(1.0, up / down)
    away = np.arange(1 - half, half + 1) - (phases / up)[:, None]
    window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1.0 - (away / half) ** 2)))
    kernels = np.sinc(band * away) * window
    return np.asarray(kernels / kernels.sum(axis=1, keepdims=True))
