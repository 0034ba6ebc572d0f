"""Decodes compressed sounds with soundfile (libsndfile), an extra.

Called by ``SoundReader`` for what is no wav. Only the formats that the suffix names are
let in, and no more frames than a limit: a few bytes may stand for hours of silence.
"""

import io

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.wav import MAX_RATE_HZ

MAX_VALUES = 1 << 27  # of one sound, all channels: 46 minutes of CD
FORMATS = {  # by suffix, as libsndfile names them
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aif": "AIFF",
    ".aiff": "AIFF",
}


def decode_sound(data: bytes, suffix: str) -> tuple[NDArray[np.float32], int]:
    """Return a sound, (f, channels) float32 in [-1, 1], and its frames per second.

    Raises
    ------
    BrokenSampleError
        If it cannot be decoded, is too long, or has no frame.
    OSError
        If soundfile is not installed: it may be by the next time.
    """
    try:
        import soundfile  # noqa: PLC0415  (optional)
    except (ImportError, OSError) as err:  # OSError: without its library
        raise OSError(f"{suffix} needs pip install 'fedask[sounds]'") from err
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            kind, rate = file.format, file.samplerate
            if kind == FORMATS[suffix]:
                most = MAX_VALUES // file.channels + 1
                values = file.read(most, dtype="float32", always_2d=True)
            else:
                values = np.zeros((0, 1), dtype=np.float32)
    except Exception as err:  # decoders raise anything
        raise BrokenSampleError(
            f"is no sound that can be decoded: {err!s:.200}"
        ) from err
    if kind != FORMATS[suffix]:
        raise BrokenSampleError(f"is no {suffix} file but {kind}")
    if values.size > MAX_VALUES or not 0 < rate <= MAX_RATE_HZ:
        raise BrokenSampleError(
            f"has more than {MAX_VALUES} values, or {rate} frames per second"
        )
    if not len(values):
        raise BrokenSampleError("is cut short: it has no frame")
    if not np.isfinite(values).all():
        raise BrokenSampleError("holds NaN or infinity")
    return np.clip(values, -1.0, 1.0), int(rate)
