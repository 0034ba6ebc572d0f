"""Files of which the model gets less than people see. For tests of what is shown."""

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedask.common.ids import Uid, bytes_uid

SECRET = "48.1372N"  # noqa: S105  (a place in the EXIF of every photo)
RATE_HZ = 22_050


def photo(
    width: int = 1600, height: int = 1200, turned: int = 1, form: str = "JPEG"
) -> bytes:
    """Return a photo with noise, a red top left corner, and a secret in its EXIF."""
    rng = np.random.default_rng(width + height)
    small = rng.integers(60, 200, (height // 8, width // 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height))
    image.paste((220, 0, 0), (0, 0, width // 8, height // 8))
    exif = image.getexif()
    exif[0x0112] = turned
    exif[0x010E] = SECRET
    buffer = io.BytesIO()
    image.save(buffer, form, exif=exif)
    return buffer.getvalue()


def stereo(seconds: float = 3.0, rate_hz: int = RATE_HZ) -> bytes:
    """Return a wav: a tone on the left, silence on the right."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    frames = np.zeros((len(time), 2), "<i2")
    frames[:, 0] = 20_000 * np.sin(2 * np.pi * 440 * time)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(frames.tobytes())
    return buffer.getvalue()


def put(folder: Path, name: str, data: bytes) -> Uid:
    """Write a file; returns the uid of its sample."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return bytes_uid(data)


def seen(content: bytes) -> NDArray[Any]:
    """Return the pixels of an encoded image, (h, w, 3)."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
