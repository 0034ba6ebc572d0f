import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support.client.heic import TURNED

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources import pillow_decoder
from fedask.client.data.sources.images import ImageReader, decode_pnm
from fedask.client.data.sources.npy import decode_npy
from fedask.common.errors import ConfigError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a grey PNG that claims to be of this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "TIFF", "PPM"])
def test_grey_images_keep_their_pixels(form: str) -> None:
    suffix = {"PPM": ".pgm"}.get(form, "." + form.lower())

    decoded = ImageReader().decode(encoded(Image.fromarray(GREY), form), suffix)

    if form == "GIF":  # has a palette, which need not be grey
        decoded = ImageReader(mode="grey").decode(
            encoded(Image.fromarray(GREY), form), suffix
        )
    assert decoded.tolist() == GREY.tolist()
    assert decoded.dtype == np.uint8


def test_colours_come_first() -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[1, 2] = (10, 20, 30)

    decoded = ImageReader().decode(encoded(Image.fromarray(pixels), "PNG"), ".png")

    assert decoded.shape == (3, 2, 3)
    assert decoded[:, 1, 2].tolist() == [10, 20, 30]
    grey = ImageReader(mode="grey").decode(
        encoded(Image.fromarray(pixels), "PNG"), ".png"
    )
    assert grey.shape == (2, 3)


def test_images_are_scaled_to_one_size() -> None:
    reader = ImageReader(width=2, height=5, mode="rgb")

    for image in (Image.fromarray(GREY), Image.new("RGBA", (40, 30), (9, 9, 9, 9))):
        assert reader.decode(encoded(image, "PNG"), ".png").shape == (3, 5, 2)
    scaled = reader.decode(encoded(Image.fromarray(GREY), "PPM"), ".pgm")
    assert scaled.shape == (3, 5, 2)


def test_a_turned_photograph_is_turned_back() -> None:
    image = Image.fromarray(GREY)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)

    assert ImageReader().decode(buffer.getvalue(), ".png").shape == (4, 3)


@pytest.mark.parametrize("side", [8200, 14000, 100_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    data = png(side, side, bytes(1 << 16))
    assert len(data) < 1000

    with pytest.raises(BrokenSampleError, match=r"pixels"):
        ImageReader().decode(data, ".png")


def test_a_program_in_an_image_is_never_run() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"

    # Nor is any other decoder than those listed, though Pillow has it.
    for data in (script, encoded(Image.fromarray(GREY), "PCX")):
        with pytest.raises(BrokenSampleError, match="no image"):
            ImageReader().decode(data, ".png")


def test_what_pillow_only_warns_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with pytest.raises(BrokenSampleError, match="decompression bomb"):
        ImageReader().decode(encoded(Image.fromarray(GREY), "PNG"), ".png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP"])
def test_damage_anywhere_is_refused_or_decoded_never_more(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 0xA5
        for data in (bytes(damaged), whole[:at]):
            try:
                decoded = ImageReader().decode(data, ".png")
            except BrokenSampleError:
                continue
            assert decoded.dtype == np.uint8


def test_without_pillow_it_is_said_what_to_install(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "b.pgm").write_bytes(encoded(Image.fromarray(GREY), "PPM"))
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "from fedask.client.data.sources.images import ImageReader\n"
        f"data = open({str(tmp_path / 'b.pgm')!r}, 'rb').read()\n"
        "print(ImageReader().decode(data, '.pgm').sum())\n"
        "try: ImageReader().decode(b'', '.png')\n"
        "except Exception as err: print(type(err).__name__, err)\n"
    )

    done = subprocess.run(  # noqa: S603  (our own text)
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )

    assert done.stdout.splitlines() == [
        str(GREY.sum()),
        (
            "ConfigError images other than .npy, .pgm and .ppm need Pillow: "
            "pip install 'fedask[images]'"
        ),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P5",
        b"P4 2 2 255\n0000",
        b"P5 2 2 255\n000",
        b"P5 0 2 255\n",
        b"P5 2 2 65535\n0000000",
        b"P5 2 2 65536\n00000000",
        b"P5 2 2 0\n0000",
        b"P6 2 2 255\n00000000000",
        b"P5 999999999 999999999 255\n0",
    ],
)
def test_a_pnm_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenSampleError):
        decode_pnm(data)


def test_a_pnm_of_few_levels_is_spread_over_all() -> None:
    assert decode_pnm(b"P5\n2 1\n#x\n3\n\x01\x03").tolist() == [[85, 255]]


def test_a_pnm_in_digits_is_read_as_one_in_bytes() -> None:
    assert ImageReader().decode(b"P2 2 1 255\n0 200\n", ".pgm").tolist() == [[0, 200]]


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_an_npy_of_any_numbers_and_order_is_decoded() -> None:
    for array in (GREY, np.asfortranarray(GREY), GREY.astype(">f8"), np.array(3.5)):
        assert np.array_equal(decode_npy(npy(array)), array)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        npy(GREY)[:-1],
        npy(GREY) + b"x",
        npy(GREY).replace(b"(3, 4)", b"(3,-4)"),
        npy(GREY).replace(b"(3, 4)", b"(9**9)"),
        npy(np.array([{}], dtype=object)),
        npy(np.array(["a"])),
        npy(np.zeros(0)),
        npy(GREY)[:30],
    ],
)
def test_an_npy_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenSampleError):
        decode_npy(data)


def test_a_header_that_claims_terabytes_takes_none() -> None:
    data = npy(GREY).replace(b"(3, 4), }    ", b"(9999999,99999)}"[:13])

    with pytest.raises(BrokenSampleError):
        decode_npy(data)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "blue"},
        {"background": "blue"},
        {"white": -1},
        {"width": 3},
        {"width": -1, "height": -1},
        {"height": 2},
    ],
)
def test_wrong_options_are_refused(options: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError):
        ImageReader(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=str(pillow_decoder.MAX_PIXELS)):
        ImageReader(width=1 << 14, height=1 << 14)


def test_a_jpeg_is_one_under_any_of_its_suffixes() -> None:
    data = encoded(Image.fromarray(np.full((8, 8), 90, dtype=np.uint8)), "JPEG")
    for suffix in (".jpg", ".jfif", ".jpe", ".heic"):
        assert ImageReader().decode(data, suffix)[4, 4] == 90
    with pytest.raises(BrokenSampleError, match="no image"):
        ImageReader().decode(TURNED[:300], ".heic")
