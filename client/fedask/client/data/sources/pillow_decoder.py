"""Decodes image files with Pillow: upright, opaque, 8 bits a channel, in sRGB.

Called by ``ImageReader``, for the model and for people: both get the same pixels, but
for the size. Only the formats that the caller names are tried, so that a file from
outside never starts another program.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError
from fedask.common.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

HEIF = "HEIF"  # the format that a plugin of Pillow reads
MAX_PIXELS = 1 << 26  # of one image, before it is decoded: 64 million
_GREY = frozenset({"1", "L", "LA", "La"})
_DEEP = ("I", "F")  # begin the names of modes with more than 8 bits
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
_OF_PROFILES = frozenset({"RGB", "RGBA", "CMYK"})  # of other modes they are left out
_BITS_PER_SAMPLE = 258  # tag of a TIFF
_FULL_BITS = 16
_TURNED = 5  # the first orientation of EXIF that swaps width and height
_ORIENTATION = 0x0112
# Of those files, two pictures are two views of one moment, not a film.
_FILMS = frozenset({"GIF", "WEBP", "PNG", "TIFF"})
_LOSSY = frozenset({"JPEG", "MPO", "WEBP", HEIF})


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRules:
    """What is done with pixels that are no opaque bytes.

    Parameters
    ----------
    mode
        ``"L"``, ``"RGB"``, or ``""``: as each image is.
    background
        (red, green, blue) that is seen through what is transparent.
    white
        The number that is white where there are more than 8 bits; 0: the largest that
        the file can hold.
    """

    mode: str
    background: tuple[int, int, int]
    white: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """The first frame of an image file.

    Parameters
    ----------
    pixels
        (h, w) or (h, w, 3) uint8.
    width, height
        Of the frame in the file, upright, in pixels.
    is_lossy
        Whether the file itself keeps pixels only roughly.
    has_more_frames
        Whether it is a film, or has several pages.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    is_lossy: bool
    has_more_frames: bool


def decode(
    data: bytes,
    formats: tuple[str, ...],
    rules: PixelRules,
    size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels of the first frame of an image, (h, w) or (h, w, 3).

    Parameters
    ----------
    formats
        Names that Pillow has for them.
    size
        (width, height) to scale to, bilinear; None: as it is.

    Raises
    ------
    BrokenSampleError
        If it cannot be decoded, or its numbers cannot be told from their scale.
    ConfigError
        If Pillow is not installed.
    OSError
        If what reads HEIC is not: it may be by the next time.
    """
    with _opened(data, formats) as image:
        return np.array(plain(image, rules, size), dtype=np.uint8)


def decode_original(
    data: bytes, formats: tuple[str, ...], rules: PixelRules, side: int
) -> DecodedImage:
    """Decode the first frame of an image for people.

    Parameters
    ----------
    side
        How many pixels the longer side must have at least: a JPEG may then be decoded
        at a fraction of its size, which is faster. 0: all of them.

    Raises
    ------
    BrokenSampleError, ConfigError, OSError
        As ``decode``.
    """
    with _opened(data, formats) as image:
        more = image.format in _FILMS and _has_more_frames(data, formats)
        lossy = image.format in _LOSSY
        whole = image.size
        if side:
            image.draft(None, _fitted(whole, side))
        is_whole = image.size == whole
        turned = image.getexif().get(_ORIENTATION, 1) >= _TURNED
        pixels = np.array(plain(image, rules), dtype=np.uint8)
    # Pillow turns a TIFF before it tells its size; a JPEG, which alone is drafted, not.
    wide, high = whole[::-1] if turned else whole
    if is_whole:
        high, wide = pixels.shape[:2]
    return DecodedImage(
        pixels=pixels, width=wide, height=high, is_lossy=lossy, has_more_frames=more
    )


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a size of this shape whose longer side is ``side``."""
    longest = max(size)
    return -(-size[0] * side // longest), -(-size[1] * side // longest)


@contextmanager
def _opened(data: bytes, formats: tuple[str, ...]) -> "Iterator[Image]":
    """Open an image of at most ``MAX_PIXELS``; decoders' errors become one."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (optional)
    except ImportError as err:
        raise ConfigError(
            "images other than .npy, .pgm and .ppm need Pillow: "
            "pip install 'fedask[images]'"
        ) from err
    if HEIF in formats:
        _register_heif()
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
                yield image
    except BrokenSampleError:
        raise
    except UnidentifiedImageError as err:  # Pillow would name an address in memory
        raise BrokenSampleError(
            f"is no image that can be decoded: it is none of {', '.join(formats)}"
        ) from err
    except Exception as err:  # decoders raise anything
        raise BrokenSampleError(
            f"is no image that can be decoded: {err!s:.200}"
        ) from err


@cache  # once a process
def _register_heif() -> None:
    """Teach Pillow to read HEIC; not what else the plugin could do."""
    try:
        from pi_heif import register_heif_opener  # noqa: PLC0415  (optional)
    except ImportError as err:
        raise OSError("HEIC needs pip install 'fedask[heic]'") from err
    register_heif_opener(thumbnails=False)


def _has_more_frames(data: bytes, formats: tuple[str, ...]) -> bool:
    """Look for a second frame, in an image of its own: looking moves it."""
    from PIL import Image  # noqa: PLC0415  (optional)

    with suppress(Exception), Image.open(io.BytesIO(data), formats=formats) as image:
        return bool(getattr(image, "is_animated", False))
    return False


def plain(
    image: "Image", rules: PixelRules, size: tuple[int, int] | None = None
) -> "Image":
    """Return an image upright, without alpha, in 8 bits, of the size and mode asked.

    Raises
    ------
    BrokenSampleError
        If nobody can tell which of its numbers is white.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415  (optional)

    grey = image.mode in _GREY or image.mode.startswith(_DEEP)
    mode = rules.mode or ("L" if grey else "RGB")
    profile = image.info.get("icc_profile")
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(_DEEP):
        image = _of_8_bits(image, rules.white)
    if _has_alpha(image):
        image = _with_alpha(image)
        image = _opaque(_turned(image, _to_srgb(profile, "RGBA")), rules.background)
        profile = None
    transform = _to_srgb(profile, image.mode)
    if transform is None:
        image = image.convert(mode)
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    # Colours last: a small image takes less time, and the others keep their bits.
    return _turned(image, transform).convert(mode)


def _has_alpha(image: "Image") -> bool:
    if image.mode == "P" and image.palette is not None:
        return "transparency" in image.info or image.palette.mode.endswith("A")
    return image.mode.endswith(("A", "a")) or "transparency" in image.info


def _with_alpha(image: "Image") -> "Image":
    """Return an image in RGBA, whichever way it keeps what is transparent."""
    return image.convert(_PREMULTIPLIED.get(image.mode, image.mode)).convert("RGBA")


def _opaque(image: "Image", background: tuple[int, int, int]) -> "Image":
    """Lay an RGBA image on a background."""
    from PIL import Image  # noqa: PLC0415  (optional)

    ground = Image.new("RGBA", image.size, (*background, 255))
    ground.alpha_composite(image)
    return ground.convert("RGB")


def _of_8_bits(image: "Image", white: float) -> "Image":
    """Scale an image of one deep channel to bytes; what is beyond white is white.

    Raises
    ------
    BrokenSampleError
        If nobody can tell which number is white.
    """
    from PIL import Image  # noqa: PLC0415  (optional)

    key = image.info.get("transparency")  # one number of all that is transparent
    values = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BrokenSampleError("holds NaN or infinity")
    low, high = float(values.min()), float(values.max())
    if low < 0:
        raise BrokenSampleError(f"holds {low:g}, below black: turn it into a .npy")
    top = white or _white_of(image, high)
    scaled = np.rint(np.minimum(values, top) * (255.0 / top)).astype(np.uint8)
    grey = Image.fromarray(scaled)
    if isinstance(key, int):
        alpha = np.where(values == key, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(alpha))
    return grey


def _white_of(image: "Image", high: float) -> float:
    """Return the number that is white in the files that can tell."""
    bits = _FULL_BITS
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        (bits, *_) = tags.get(_BITS_PER_SAMPLE, (_FULL_BITS,))
    if bits > _FULL_BITS or image.mode == "F":
        raise BrokenSampleError(
            "does not tell which number is white: say white= in the options of the "
            "data, or turn it into 8 bits, or a .npy"
        )
    top = float((1 << bits) - 1)
    if bits == _FULL_BITS and 0 < high <= top / 16:  # 16 shades would be left of it
        raise BrokenSampleError(
            f"has {bits} bits, but no number over {high:g}: say white= in the options "
            "of the data, 4095 where a camera gives 12 bits"
        )
    return top


def _turned(image: "Image", transform: "ImageCmsTransform | None") -> "Image":
    """Return an image in other colours; None: in its own."""
    if transform is None:
        return image
    from PIL import ImageCms  # noqa: PLC0415  (optional)

    turned = ImageCms.applyTransform(image, transform)
    return image if turned is None else turned  # None: in place, which was not asked


@lru_cache(maxsize=8)  # a folder has the profile of its camera
def _to_srgb(profile: bytes | None, mode: str) -> "ImageCmsTransform | None":
    """Return what turns colours of a profile into sRGB; None: they are, or cannot."""
    if not profile or mode not in _OF_PROFILES:
        return None
    try:
        from PIL import ImageCms  # noqa: PLC0415  (optional)

        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(own):
            return None
        target = "RGBA" if mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(own, srgb, mode, target)
    except Exception:  # noqa: BLE001  (a profile that is none does no harm)
        return None
