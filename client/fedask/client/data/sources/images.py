"""A folder of images. Pillow decodes most; ``.npy``, ``.pgm`` and ``.ppm`` need none.

Only formats that Pillow decodes by itself are let in, so that a file from outside never
starts another program (EPS would).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.npy import decode_npy
from fedask.client.data.sources.pillow_decoder import (
    HEIF,
    MAX_PIXELS,
    PixelRules,
    decode,
    decode_original,
)
from fedask.client.data.sources.reader import FileReader
from fedask.client.records.original import Original
from fedask.common.errors import ConfigError

HEIC_SUFFIXES = (".heic", ".heif")
PILLOW_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", *HEIC_SUFFIXES),
)
PNM_SUFFIXES = (".pgm", ".ppm")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_PNM_FORMATS = ("PPM",)
_HEIC_FORMATS = (HEIF, *_FORMATS)  # some telephones call every picture so
_MODES = {"": "", "grey": "L", "rgb": "RGB"}  # as Pillow names them
_COLOURS = {"white": "#ffffff", "black": "#000000"}
_COLOUR = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
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
    background
        Colour behind what is transparent: ``"white"``, ``"black"``, or as
        ``"#8899aa"``.
    white
        The number that is white in images of more than 8 bits; 0 = the largest of 16
        bits (12 in a TIFF that says so). What is beyond it is white, too.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    background: str = "white"  # what drawings and logos are made for
    white: int = 0

    suffixes: ClassVar[frozenset[str]] = frozenset(
        {*PILLOW_SUFFIXES, *PNM_SUFFIXES, ".npy"}
    )
    extras: ClassVar[Mapping[str, str]] = dict.fromkeys(HEIC_SUFFIXES, "heic")

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ConfigError(f"mode = {self.mode!r} must be 'grey' or 'rgb'")
        if min(self.width, self.height) < 0 or (self.width > 0) != (self.height > 0):
            raise ConfigError(
                f"width = {self.width} and height = {self.height} must be given "
                "together, in pixels"
            )
        if self.width * self.height > MAX_PIXELS:
            raise ConfigError(f"width x height must be at most {MAX_PIXELS} pixels")
        if self.white < 0:
            raise ConfigError(f"white = {self.white} must not be negative")
        _rgb(self.background)

    @override
    def decode(self, data: bytes, suffix: str) -> NDArray[Any]:
        if suffix == ".npy":
            return decode_npy(data)
        if suffix in PNM_SUFFIXES and not (self.width or self.mode or _is_plain(data)):
            return decode_pnm(data)
        size = (self.width, self.height) if self.width else None
        rules = self._rules(_MODES[self.mode])
        pixels = decode(data, _formats(suffix), rules, size)
        return channels_first(pixels.reshape(*pixels.shape[:2], -1))

    @override
    def whole(self, data: bytes, suffix: str, side: int) -> Original:
        if suffix == ".npy" or (suffix in PNM_SUFFIXES and not _is_plain(data)):
            array = decode_npy(data) if suffix == ".npy" else decode_pnm(data)
            return Original(content=array)
        image = decode_original(data, _formats(suffix), self._rules(""), side)
        return Original(
            content=image.pixels,
            width=image.width,
            height=image.height,
            is_lossy=image.is_lossy,
            has_more_frames=image.has_more_frames,
        )

    def _rules(self, mode: str) -> PixelRules:
        ground = _rgb(self.background)
        return PixelRules(mode=mode, background=ground, white=self.white)


def _is_plain(data: bytes) -> bool:
    """Tell whether a PNM has its numbers in digits, which Pillow reads."""
    return data.startswith((b"P2", b"P3"))


def _formats(suffix: str) -> tuple[str, ...]:
    if suffix in HEIC_SUFFIXES:
        return _HEIC_FORMATS
    return _PNM_FORMATS if suffix in PNM_SUFFIXES else _FORMATS


def _rgb(colour: str) -> tuple[int, int, int]:
    """Return (red, green, blue) of a colour.

    Raises
    ------
    ConfigError
        If it is none.
    """
    found = _COLOUR.fullmatch(_COLOURS.get(colour, colour))
    if found is None:
        raise ConfigError(
            f"background = {colour!r:.40} must be 'white', 'black' or as '#8899aa'"
        )
    red, green, blue = (int(digits, 16) for digits in found.groups())
    return red, green, blue


def decode_pnm(data: bytes) -> NDArray[np.uint8]:
    """Return the first image of a binary PGM or PPM file.

    Parameters
    ----------
    data
        Content of the file.

    Returns
    -------
    NDArray
        (h, w) uint8 of a PGM, (3, h, w) of a PPM, in [0, 255]: scaled by the file's own
        number of levels.

    Raises
    ------
    BrokenSampleError
        If it is no such image, or is cut short.
    """
    header = _HEADER.match(data[:4096])
    if header is None:
        raise BrokenSampleError("is no binary PGM or PPM image")
    kind, width, height, levels = (int(group) for group in header.groups())
    if not 0 < levels < 1 << 16 or not width * height:
        raise BrokenSampleError(
            f"is an image of {width} x {height} with {levels} levels"
        )
    channels = 3 if kind == 6 else 1  # noqa: PLR2004  (P6)
    count = width * height * channels
    form = np.dtype(np.uint8 if levels < 1 << 8 else ">u2")
    if len(data) - header.end() < count * form.itemsize:
        raise BrokenSampleError("is cut short")
    values = np.frombuffer(data, form, count, header.end())
    if levels != 255:  # noqa: PLR2004  (one byte a value)
        values = np.minimum(values.astype(np.uint32) * 255 // levels, 255)
    return channels_first(values.astype(np.uint8).reshape(height, width, channels))


def channels_first(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (h, w, 1) into (h, w) and (h, w, 3) into (3, h, w), as torch wants it."""
    if image.shape[2] == 1:
        return image[:, :, 0]
    return np.ascontiguousarray(image.transpose(2, 0, 1))
