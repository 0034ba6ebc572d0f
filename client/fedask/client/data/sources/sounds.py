"""A folder of wav files: PCM of 8, 16, 24 or 32 bits, any number of channels."""

import io
import wave
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.reader import FileReader
from fedask.client.records.original import Original
from fedask.common.errors import ConfigError

MAX_FRAMES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class SoundReader(FileReader):
    """Sounds as (frames,) float32 in [-1, 1], the mean of the channels.

    Parameters
    ----------
    frames
        Length of every sample: longer sounds are cut, shorter ones end in silence.
        The default is a second at 16 kHz.
    rate
        Frames per second that a file must have; 0 = those of another rate than most
        are set aside.
    """

    frames: int = 16_000
    rate: int = 0

    suffixes: ClassVar[frozenset[str]] = frozenset({".wav"})
    max_bytes: ClassVar[int] = 1 << 28

    def __post_init__(self) -> None:
        if not 0 < self.frames <= MAX_FRAMES or self.rate < 0:
            raise ConfigError(
                f"frames = {self.frames} must be 1 to {MAX_FRAMES}, "
                f"rate = {self.rate} not negative"
            )

    @override
    def decode(self, data: bytes, suffix: str) -> NDArray[np.float32]:
        sound, rate = decode_wav(data)
        if self.rate and rate != self.rate:
            raise BrokenSampleError(f"has {rate} frames per second, not {self.rate}")
        return fitted(sound, self.frames)

    @override
    def whole(self, data: bytes, suffix: str, side: int) -> Original:
        sound, rate = decode_channels(data)
        is_cut = len(sound) > self.frames
        reads_s = self.frames / rate if is_cut else 0.0
        return Original(content=sound, rate_hz=rate, model_reads=reads_s)

    @override
    def form(self, sample: NDArray[Any] | str, data: bytes) -> str:
        with wave.open(io.BytesIO(data), "rb") as file:
            return f"{file.getframerate()} Hz {super().form(sample, data)}"


def decode_wav(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Return a sound, (f,) float32 in [-1, 1], and its frames per second.

    The mean of its channels.

    Raises
    ------
    BrokenSampleError
        As ``decode_channels``.
    """
    values, scale, rate = _values_of(data)
    frames = values.mean(axis=1, dtype=np.float64)
    return (frames / scale).astype(np.float32), rate


def decode_channels(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Return a sound, (f, channels) float32 in [-1, 1], and its frames per second.

    Raises
    ------
    BrokenSampleError
        If it is no PCM wav file, is cut short, or has no frame.
    """
    values, scale, rate = _values_of(data)
    return (values / np.float32(scale)).astype(np.float32), rate


def _values_of(data: bytes) -> tuple[NDArray[np.int32], int, int]:
    """Return (f, channels) of a file, the largest magnitude of its type, its rate."""
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            channels, width = file.getnchannels(), file.getsampwidth()
            count, rate = file.getnframes(), file.getframerate()
            pcm = file.readframes(count)
    except Exception as err:  # besides its own, wave raises what its helpers do
        raise BrokenSampleError(
            f"is no PCM wav file: {str(err) or 'it is cut short'}"
        ) from err
    if not count or len(pcm) != count * channels * width or rate <= 0:
        raise BrokenSampleError(
            f"is cut short: {len(pcm)} bytes of {count * channels * width}"
        )
    if not 1 <= width <= 4:  # noqa: PLR2004  (bytes a value)
        raise BrokenSampleError(f"has {8 * width} bits per sample, not 8, 16, 24 or 32")
    values = _integers(pcm, width).reshape(-1, channels)
    return values, 1 << (8 * width - 1), rate


def _integers(pcm: bytes, width: int) -> NDArray[np.int32]:
    """Return signed numbers of ``width`` bytes each."""
    if width == 1:  # the only width without a sign
        return np.frombuffer(pcm, dtype=np.uint8).astype(np.int32) - 128
    # Up to the top bytes of four: the sign comes along.
    wide = np.zeros((len(pcm) // width, 4), dtype=np.uint8)
    wide[:, 4 - width :] = np.frombuffer(pcm, dtype=np.uint8).reshape(-1, width)
    values: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8 * (4 - width)
    return values


def fitted(sound: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Cut a sound to so many frames, or let it end in silence.

    Examples
    --------
    >>> fitted(np.ones(2, dtype=np.float32), 3)
    array([1., 1., 0.], dtype=float32)
    """
    sample = np.zeros(frames, dtype=np.float32)
    sample[: len(sound)] = sound[:frames]
    return sample
