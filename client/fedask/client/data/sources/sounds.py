"""A folder of sounds: wavs, and with an extra what soundfile decodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.reader import FileReader
from fedask.client.data.sources.resampling import MAX_RATIO, resampled
from fedask.client.data.sources.sound_decoder import FORMATS, decode_sound
from fedask.client.data.sources.wav import MAX_RATE_HZ, wav_header, wav_values
from fedask.client.records.original import Original
from fedask.common.errors import ConfigError

MAX_FRAMES = 1 << 24
WAV_SUFFIXES = (".wav", ".wave")
SOUND_SUFFIXES = (*WAV_SUFFIXES, *FORMATS)


@dataclass(frozen=True, kw_only=True)
class SoundReader(FileReader):
    """Sounds as (frames,) float32 in [-1, 1], the mean of the channels.

    Parameters
    ----------
    frames
        Length of every sample: longer sounds are cut, shorter ones end in silence.
        The default is a second at 16 kHz.
    rate
        Frames per second that a model gets: sounds of another rate are resampled. 0 =
        as they are, and those of another rate than most are set aside.
    """

    frames: int = 16_000
    rate: int = 0

    suffixes: ClassVar[frozenset[str]] = frozenset(SOUND_SUFFIXES)
    extras: ClassVar[Mapping[str, str]] = dict.fromkeys(FORMATS, "sounds")
    max_bytes: ClassVar[int] = 1 << 28

    def __post_init__(self) -> None:
        if not 0 < self.frames <= MAX_FRAMES or not 0 <= self.rate <= MAX_RATE_HZ:
            raise ConfigError(
                f"frames = {self.frames} must be 1 to {MAX_FRAMES}, "
                f"rate = {self.rate} at most {MAX_RATE_HZ} and not negative"
            )

    @override
    def decode(self, data: bytes, suffix: str) -> NDArray[np.float32]:
        sound, rate = decode_mono(data, suffix)
        if not self.rate or rate == self.rate:
            return fitted(sound, self.frames)
        if max(rate, self.rate) > MAX_RATIO * min(rate, self.rate):
            raise BrokenSampleError(
                f"has {rate} frames per second, too far from {self.rate} to resample"
            )
        return fitted(resampled(sound, rate, self.rate, self.frames), self.frames)

    @override
    def whole(self, data: bytes, suffix: str, side: int) -> Original:
        sound, rate = decode_channels(data, suffix)
        reads_s = self.frames / (self.rate or rate)
        is_cut = len(sound) / rate > reads_s
        return Original(
            content=sound, rate_hz=rate, model_reads=reads_s if is_cut else 0.0
        )

    @override
    def form(self, sample: NDArray[Any] | str, data: bytes, suffix: str) -> str:
        rate = self.rate or rate_of(data, suffix)
        return f"{rate} Hz {super().form(sample, data, suffix)}"


def decode_mono(data: bytes, suffix: str) -> tuple[NDArray[np.float32], int]:
    """Return a sound, (f,) float32 in [-1, 1], and its frames per second.

    The mean of its channels.

    Raises
    ------
    BrokenSampleError, OSError
        As ``decode_channels``.
    """
    if suffix in FORMATS:
        channels, rate = decode_sound(data, suffix)
        return channels.mean(axis=1, dtype=np.float64).astype(np.float32), rate
    values, scale, rate = wav_values(data)
    frames = values.mean(axis=1, dtype=np.float64)
    return (frames / scale).astype(np.float32), rate


def decode_channels(data: bytes, suffix: str) -> tuple[NDArray[np.float32], int]:
    """Return a sound, (f, channels) float32 in [-1, 1], and its frames per second.

    Raises
    ------
    BrokenSampleError
        If it is no sound that can be decoded, is cut short, or has no frame.
    OSError
        If what decodes it is not installed.
    """
    if suffix in FORMATS:
        return decode_sound(data, suffix)
    values, scale, rate = wav_values(data)
    return (values / np.float32(scale)).astype(np.float32), rate


def rate_of(data: bytes, suffix: str) -> int:
    """Return the frames per second of a sound that can be decoded."""
    if suffix in FORMATS:
        return decode_sound(data, suffix)[1]
    return wav_header(data).rate_hz


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
