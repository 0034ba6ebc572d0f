"""What a picture looks like on paper is what the model gets, however it is stored."""

import io
import struct
import sys
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources import pillow_decoder
from fedask.client.data.sources.images import ImageReader
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import (
    IndexedSource,
    NoSamplesError,
    ScanContext,
)
from fedask.client.data.sources.pillow_decoder import (
    PixelRules,
    decode_original,
    plain,
)

# 16 x 32 pixels, red above, blue below; its EXIF says turned, and HEIC stands above it.
HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAb1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABw"
    "aWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB4QABAAAAAAAAAI4AAgAAAAAC"
    "bwABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAA"
    "AQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAA"
    "AAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMA"
    "kAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAAB"
    "AA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAgAAAAAf///9AAAAAC"
    "////4AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAGmlyZWYA"
    "AAAAAAAADmNkc2MAAgABAAEAAAC6bWRhdAAAAIooAa8JyHJ3w0A5I1d//9i2f/8w/6H8Dt7Vn8Tr"
    "+utG93//NJsV/ViJH/lTdROcCo/DCuKlvh0tspTWPcxqkJqJQVDmXJKJR0KQD1I8xIQo7PkkBrPg"
    "oVid44yGXVYKf0hUwp4SjJOtws2/Qd+b8vJw2SF+LWc24lhmnrlWqMCKv6JjjGiU0P03Vl4AAAAG"
    "RXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA="
)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULES = PixelRules(mode="", background=(255, 255, 255), white=0)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(data: bytes, suffix: str = ".png", **options: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return (h, w, 3) or (h, w)."""
    array = ImageReader(**options).decode(data, suffix)
    return array if array.ndim == 2 else np.moveaxis(array, 0, -1)


def drawing() -> Image.Image:
    """A black cross on nothing, and a half transparent red corner."""
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 2), (0, 0, 0, 255))
    image.putpixel((3, 3), (200, 0, 0, 128))
    return image


def test_two_black_drawings_on_nothing_stay_two() -> None:
    one, other = Image.new("RGBA", (3, 3)), Image.new("RGBA", (3, 3))
    one.putpixel((0, 0), (0, 0, 0, 255))
    other.putpixel((2, 2), (0, 0, 0, 255))

    for mode in ("", "grey", "rgb"):
        first, second = (pixels(encoded(each), mode=mode) for each in (one, other))
        assert first.max() == 255
        assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("background", "nothing", "half"),
    [
        ("white", [255, 255, 255], [227, 127, 127]),
        ("black", [0, 0, 0], [100, 0, 0]),
        ("#804020", [128, 64, 32], [164, 32, 16]),
    ],
)
def test_what_is_transparent_shows_the_background(
    background: str, nothing: list[int], half: list[int]
) -> None:
    shown = pixels(encoded(drawing()), background=background)

    assert shown[0, 0].tolist() == nothing
    assert shown[2, 1].tolist() == [0, 0, 0]
    assert shown[3, 3] == pytest.approx(half, abs=1)
    grey = pixels(encoded(drawing()), background=background, mode="grey")
    assert grey[0, 0] == pytest.approx(np.dot(nothing, [0.299, 0.587, 0.114]), abs=1)


def test_what_lies_under_full_transparency_does_not_matter() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))

    assert pixels(encoded(image), width=3, height=3).min() == 255


def palette(alpha: bytes | int) -> bytes:
    """Three colours, red, green and blue, with these opacities or this one clear."""
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for at in range(3):
        image.putpixel((at, 0), at)
    return encoded(image, transparency=alpha)


def test_each_colour_of_a_palette_has_its_own_opacity() -> None:
    assert pixels(palette(b"\x00\x80\xff"))[0].tolist() == [
        [255, 255, 255],
        [127, 255, 127],
        [0, 0, 255],
    ]
    assert pixels(palette(1))[0].tolist() == [
        [255, 0, 0],
        [255, 255, 255],
        [0, 0, 255],
    ]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF"])
def test_other_formats_keep_what_is_transparent_too(form: str) -> None:
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    shown = pixels(encoded(drawing(), form, **options), f".{form.lower()}")

    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[2, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", ["LA", "PA", "La", "RGBA", "RGBa"])
def test_every_mode_with_alpha_lies_on_the_background(mode: str) -> None:
    image = Image.new("LA", (2, 1), (0, 0))
    image.putpixel((1, 0), (100, 255))
    if mode == "PA":
        made = Image.new("PA", (2, 1))
        made.putpalette([0, 0, 0, 100, 100, 100])
        made.putpixel((1, 0), (1, 255))
    else:
        made = image.convert("RGBA" if "RGB" in mode else "LA").convert(mode)

    shown = plain(made, RULES)

    assert shown.mode == ("L" if mode.startswith("L") else "RGB")
    values = np.asarray(shown).ravel().tolist()
    assert [values[0], values[-1]] == [255, 100]


def test_a_grey_or_a_colour_that_stands_for_nothing() -> None:
    grey = Image.new("L", (2, 1), 7)
    grey.putpixel((1, 0), 90)
    colour = Image.new("RGB", (2, 1), (1, 2, 3))
    colour.putpixel((1, 0), (4, 5, 6))
    deep = Image.fromarray(np.array([[9, 65535]], dtype=np.uint16))

    assert pixels(encoded(grey, transparency=7)).tolist() == [[255, 90]]
    shown = pixels(encoded(colour, transparency=(1, 2, 3)))
    assert shown.tolist() == [[[255, 255, 255], [4, 5, 6]]]
    assert pixels(encoded(deep, transparency=9)).tolist() == [[255, 255]]


def test_16_bits_are_scaled_to_8_not_clipped() -> None:
    values = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    image = Image.fromarray(values)

    for form in ("PNG", "TIFF"):
        suffix = f".{form.lower()}"
        assert pixels(encoded(image, form), suffix).tolist() == [[0, 1, 128, 255]]
    assert pixels(encoded(image), mode="rgb").tolist() == [
        [[v, v, v] for v in (0, 1, 128, 255)]
    ]
    assert pixels(
        b"P5 4 1 65535\n" + values.astype(">u2").tobytes(), ".pgm"
    ).tolist() == [[0, 1, 128, 255]]


def test_12_bits_in_16_are_asked_about_rather_than_drawn_black() -> None:
    values = np.array([[0, 16, 2048, 4095]], dtype=np.uint16)
    data = encoded(Image.fromarray(values))

    with pytest.raises(BrokenSampleError, match=r"no number over 4095: say white="):
        pixels(data)
    assert pixels(data, white=4095).tolist() == [[0, 1, 128, 255]]
    assert pixels(data, white=65535).tolist() == [[0, 0, 8, 16]]
    assert pixels(encoded(Image.fromarray(values * 0))).max() == 0


def test_numbers_without_a_scale_are_asked_about() -> None:
    whole = Image.fromarray(np.array([[0, 100_000]], dtype=np.int32))
    real = Image.fromarray(np.array([[0.0, 0.5]], dtype=np.float32))
    below = Image.fromarray(np.array([[-1.0, 0.5]], dtype=np.float32))

    for image in (whole, real):
        with pytest.raises(BrokenSampleError, match="which number is white"):
            pixels(encoded(image, "TIFF"), ".tif")
    assert pixels(encoded(real, "TIFF"), ".tif", white=1).tolist() == [[0, 128]]
    with pytest.raises(BrokenSampleError, match="below black"):
        pixels(encoded(below, "TIFF"), ".tif", white=1)


def test_ink_one_bit_and_luma_become_colours() -> None:
    ink = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    assert pixels(encoded(ink, "TIFF"), ".tif")[0, 0].tolist() == [255, 0, 0]
    assert pixels(encoded(ink, "JPEG"), ".jpg")[0, 0] == pytest.approx(
        [255, 0, 0], abs=2
    )
    bits = Image.new("1", (2, 1), 0)
    bits.putpixel((1, 0), 1)
    assert pixels(encoded(bits)).tolist() == [[0, 255]]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_a_film_the_first_frame_is_taken_and_said_to_be_the_first(
    form: str,
) -> None:
    frames = [Image.new("RGB", (9, 9), c) for c in ((250, 0, 0), (0, 0, 250))]
    film = encoded(frames[0], form, save_all=True, append_images=frames[1:])

    image = decode_original(film, (form,), RULES, 0)

    assert image.has_more_frames
    assert image.pixels[4, 4] == pytest.approx([250, 0, 0], abs=6)
    assert not decode_original(
        encoded(frames[0], form), (form,), RULES, 0
    ).has_more_frames


def wide_gamut() -> bytes:
    """sRGB with red and green swapped: a profile that nobody can overlook."""
    profile = bytearray(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    count = struct.unpack_from(">I", profile, 128)[0]
    at = {}
    for entry in range(132, 132 + 12 * count, 12):
        at[bytes(profile[entry : entry + 4])] = entry
        if bytes(profile[entry : entry + 4]) == b"desc":
            start, size = struct.unpack_from(">II", profile, entry + 4)
            text = bytes(profile[start : start + size])
            profile[start : start + size] = text.replace(
                b"s\0R\0G\0B", b"x\0R\0G\0B"
            ).replace(b"sRGB", b"xRGB")
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def test_a_colour_profile_is_followed() -> None:
    image = Image.new("RGB", (8, 8), (200, 10, 10))
    own = pixels(encoded(image))[0, 0].tolist()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert pixels(encoded(image, icc_profile=srgb))[0, 0].tolist() == own
    for side in (0, 2):
        data = encoded(image, icc_profile=wide_gamut())
        turned = pixels(data, width=side, height=side)
        assert turned[0, 0] == pytest.approx([10, 200, 10], abs=3)
    clear = image.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    turned = pixels(encoded(clear, icc_profile=wide_gamut()), background="#c00000")
    assert turned[0, 0].tolist() == [192, 0, 0]
    assert turned[4, 4] == pytest.approx([10, 200, 10], abs=3)
    assert pixels(encoded(image, icc_profile=b"none at all"))[0, 0].tolist() == own


def test_a_jpeg_may_be_decoded_smaller_and_tells_its_size_upright() -> None:
    image = Image.new("RGB", (1600, 1200), (9, 99, 199))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    data = encoded(image, "JPEG", exif=exif)

    small = decode_original(data, ("JPEG",), RULES, 400)

    assert small.pixels.shape == (400, 300, 3)
    assert (small.width, small.height, small.is_lossy) == (1200, 1600, True)
    assert decode_original(data, ("JPEG",), RULES, 0).pixels.shape == (1600, 1200, 3)


def test_a_tiff_that_is_turned_tells_its_size_upright() -> None:
    image = Image.new("RGB", (8, 6), (9, 99, 199))
    exif = image.getexif()
    exif[0x0112] = 6
    data = encoded(image, "TIFF", exif=exif)

    turned = decode_original(data, ("TIFF",), RULES, 4)

    assert turned.pixels.shape == (8, 6, 3)
    assert (turned.width, turned.height) == (6, 8)


@pytest.mark.parametrize("suffix", [".heic", ".heif"])
def test_the_photos_of_telephones_are_read(suffix: str) -> None:
    shown = pixels(HEIC, suffix)

    assert shown.shape == (32, 16, 3)
    assert shown[4, 8] == pytest.approx([200, 30, 30], abs=12)
    assert shown[28, 8] == pytest.approx([30, 30, 200], abs=12)
    # Some telephones call every picture so.
    assert pixels(encoded(drawing()), suffix).shape == (4, 4, 3)


def test_without_its_decoder_a_heic_is_looked_at_again_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    (tmp_path / "b.png").write_bytes(encoded(Image.new("RGB", (16, 32))))
    look = ScanContext(index=Index(), now=NOON)
    pillow_decoder._register_heif.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pi_heif", None)
        source = IndexedSource(tmp_path, ImageReader(), look)
        assert (len(source.uids()), source.broken()) == (1, [])
        with pytest.raises(NoSamplesError, match=r"HEIC needs .*fedask\[heic\]"):
            IndexedSource(tmp_path / "a.heic", ImageReader(), look)

    assert len(IndexedSource(tmp_path, ImageReader(), look).uids()) == 2
