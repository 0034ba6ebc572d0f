"""A folder of images. Pillow decodes most; ``.npy``, ``.pgm`` and ``.ppm`` need none.

Only formats that Pillow decodes by itself are let in, so that a file from outside never
starts another program (EPS would).
"""

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.npy import decode_npy
from fedask.client.data.sources.reader import FileReader
from fedask.common.errors import ConfigError

MAX_PIXELS = 1 << 26  # of one image, before it is decoded: 64 million
PILLOW_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
PNM_SUFFIXES = (".pgm", ".ppm")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_GREY = {"1", "L", "LA"}
# "P5" or "P6", then width, height and largest value, with white space and comments.
_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + (_GAP + rb"(\d{1,9})") * 2 + _GAP + rb"(\d{1,5})\s")


@dataclass(frozen=True, kw_only=True)
class ImageReader(FileReader):
    """Images as (h, w) or (3, h, w) uint8 in [0, 255], or the array of a ``.npy``.

    Parameters
    ----------
    width, height
        Images are scaled to this size, in pixels (Pillow, bilinear); 0 = left as they
        are, and those of another size than most are set aside.
    mode
        ``"grey"``, ``"rgb"``, or ``""``: as each is.
    """

    width: int = 0
    height: int = 0
    mode: str = ""

    suffixes: ClassVar[frozenset[str]] = frozenset(
        {*PILLOW_SUFFIXES, *PNM_SUFFIXES, ".npy"}
    )

    def __post_init__(self) -> None:
        if self.mode not in {"", "grey", "rgb"}:
            raise ConfigError(f"mode = {self.mode!r} must be 'grey' or 'rgb'")
        if min(self.width, self.height) < 0 or (self.width > 0) != (self.height > 0):
            raise ConfigError(
                f"width = {self.width} and height = {self.height} must be given "
                "together, in pixels"
            )
        if self.width * self.height > MAX_PIXELS:
            raise ConfigError(f"width x height must be at most {MAX_PIXELS} pixels")

    @override
    def decode(self, data: bytes, suffix: str) -> NDArray[Any]:
        if suffix == ".npy":
            return decode_npy(data)
        if suffix in PNM_SUFFIXES and not (self.width or self.mode):
            return decode_pnm(data)
        formats = ("PPM",) if suffix in PNM_SUFFIXES else _FORMATS
        return self._decode(data, formats)

    def _decode(self, data: bytes, formats: tuple[str, ...]) -> NDArray[np.uint8]:
        try:
            from PIL import Image, ImageOps  # noqa: PLC0415  (optional)
        except ImportError as err:
            raise ConfigError(
                "images other than .npy, .pgm and .ppm need Pillow: "
                "pip install 'fedask[images]'"
            ) from err
        try:
            with warnings.catch_warnings():
                # Decompression bombs, above all; a damaged EXIF part does no harm.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=formats) as image:
                    wide, high = image.size
                    if wide * high > MAX_PIXELS:
                        raise BrokenSampleError(  # noqa: TRY301  (one way out, below)
                            f"has {wide} x {high} pixels, more than {MAX_PIXELS}"
                        )
                    ImageOps.exif_transpose(image, in_place=True)
                    plain = image.convert(self._mode_of(image.mode))
                    if self.width:
                        size = (self.width, self.height)
                        plain = plain.resize(size, Image.Resampling.BILINEAR)
                    pixels = np.array(plain, dtype=np.uint8)
        except BrokenSampleError:
            raise
        except Exception as err:  # decoders raise anything
            raise BrokenSampleError(
                f"is no image that can be decoded: {err!s:.200}"
            ) from err
        return channels_first(pixels.reshape(*pixels.shape[:2], -1))

    def _mode_of(self, mode: str) -> str:
        """Return Pillow's name of what an image in ``mode`` is turned into."""
        if mode.startswith(("I", "F")):  # Pillow would clip, not scale
            raise BrokenSampleError(
                "has more than 8 bits per channel: turn it into 8 bits, or a .npy"
            )
        grey = mode in _GREY if not self.mode else self.mode == "grey"
        return "L" if grey else "RGB"


def decode_pnm(data: bytes) -> NDArray[np.uint8]:
    """Return the first image of a binary PGM or PPM file.

    Parameters
    ----------
    data
        Content of the file; at most 255 levels.

    Returns
    -------
    NDArray
        (h, w) uint8 of a PGM, (3, h, w) of a PPM, in [0, 255].

    Raises
    ------
    BrokenSampleError
        If it is no such image, or is cut short.
    """
    header = _HEADER.match(data[:4096])
    if header is None:
        raise BrokenSampleError("is no binary PGM or PPM image")
    kind, width, height, levels = (int(group) for group in header.groups())
    if not 0 < levels <= 255 or not width * height:  # noqa: PLR2004  (one byte a value)
        raise BrokenSampleError(
            f"is an image of {width} x {height} with {levels} levels"
        )
    channels = 3 if kind == 6 else 1  # noqa: PLR2004  (P6)
    pixels = np.frombuffer(data, dtype=np.uint8, offset=header.end())
    count = width * height * channels
    if len(pixels) < count:
        raise BrokenSampleError("is cut short")
    image = pixels[:count].reshape(height, width, channels)
    if levels != 255:  # noqa: PLR2004  (one byte a value)
        scaled = image.astype(np.uint32) * 255 // levels
        image = np.minimum(scaled, 255).astype(np.uint8)
    return channels_first(image)


def channels_first(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (h, w, 1) into (h, w) and (h, w, 3) into (3, h, w), as torch wants it."""
    if image.shape[2] == 1:
        return image[:, :, 0]
    return np.ascontiguousarray(image.transpose(2, 0, 1))
