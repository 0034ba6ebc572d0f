import io
import json
import struct
import wave
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.data.rendering import showcase
from fedask.client.data.rendering.encoding import png_of, series_of, wav_of
from fedask.client.data.rendering.showcase import DEFAULT_RATE_HZ, Show, Showcase
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.records.exhibit import Medium, Part
from fedask.client.records.original import ONLY, Original
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid

PLAIN = Show()


def part_of(name: str, raw: NDArray[Any] | str, show: Show) -> Part:
    return showcase.part_of(name, Original(content=raw), show)


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    """Decode by the specification alone: (h, w, c) uint8."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, header = 8, b"", (0, 0, 0, 0)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + body)
        if kind == b"IHDR":
            header = struct.unpack(">IIBB", body[:10])
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour = header
    channels = {0: 1, 2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)
    assert depth == 8
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


def heard(wav: bytes) -> tuple[int, list[int]]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        pcm = file.readframes(file.getnframes())
        return file.getframerate(), np.frombuffer(pcm, "<i2").tolist()


@pytest.mark.parametrize(
    ("shape", "moved"),
    [
        ((5, 4), (5, 4, 1)),
        ((5, 4, 1), (5, 4, 1)),
        ((5, 4, 3), (5, 4, 3)),
        ((5, 4, 4), (5, 4, 4)),
        ((1, 5, 4), (5, 4, 1)),
        ((3, 5, 6), (5, 6, 3)),
    ],
)
def test_bytes_become_the_same_pixels_channels_last(
    shape: tuple[int, ...], moved: tuple[int, ...]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    part = part_of(ONLY, image, PLAIN)
    assert part.medium is Medium.IMAGE
    first = moved != shape and len(shape) == 3
    expected = np.moveaxis(image, 0, -1) if first else image.reshape(moved)
    np.testing.assert_array_equal(pixels_of(part.content), expected)


def test_a_float_image_is_scaled_from_its_least_to_its_largest() -> None:
    image = np.array([[-1.0, 0.0], [1.0, 3.0]])
    assert pixels_of(png_of(image))[:, :, 0].tolist() == [[0, 64], [128, 255]]


def test_an_image_of_one_value_is_grey_and_a_mask_black_and_white() -> None:
    assert pixels_of(png_of(np.full((2, 2), 7.5))).ravel().tolist() == [127] * 4
    mask = np.array([[True, False]])
    assert pixels_of(png_of(mask)).ravel().tolist() == [255, 0]


def test_infinities_and_huge_numbers_do_not_break_an_image() -> None:
    image = np.array([[np.nan, np.inf], [-1.0, 1.0]])
    assert pixels_of(png_of(image)).ravel().tolist() == [128, 128, 0, 255]
    huge = np.array([[-1.7e308, 1.7e308]])
    with np.errstate(over="ignore"):
        assert pixels_of(png_of(huge)).ravel().tolist() == [127, 127]


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 2), (3, 0, 3)])
def test_what_has_no_pixel_or_odd_channels_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="cannot be shown"):
        png_of(np.zeros(shape, np.uint8))


def test_a_sound_becomes_pcm_at_its_rate() -> None:
    sound = np.array([0.0, 0.5, -1.0, 1.0], np.float32)
    show = Show(medium=Medium.AUDIO, rate_hz=8000)
    part = part_of("voice", sound, show)
    assert part.name == "voice"
    assert heard(part.content) == (8000, [0, 16384, -32767, 32767])


def test_a_sound_without_a_rate_is_taken_for_speech() -> None:
    part = part_of(ONLY, np.zeros(3), Show(medium=Medium.AUDIO))
    assert heard(part.content)[0] == DEFAULT_RATE_HZ


def test_a_sound_that_is_too_loud_is_made_softer_as_a_whole() -> None:
    assert heard(wav_of(np.array([4.0, -2.0, 1.0]), 8000))[1] == [32767, -16384, 8192]


@pytest.mark.parametrize(
    ("sound", "pcm"),
    [
        (np.array([0, 16384, -32768], np.int16), [0, 16384, -32767]),
        (np.array([128, 255, 0], np.uint8), [0, 32511, -32767]),
    ],
)
def test_whole_numbers_are_sounds_by_the_range_of_their_type(
    sound: NDArray[Any], pcm: list[int]
) -> None:
    assert heard(wav_of(sound, 8000))[1] == pytest.approx(pcm, abs=1)


def test_channels_of_a_sound_are_mixed_whichever_axis_they_are() -> None:
    stereo = np.array([[0.5, 0.1], [0.3, -0.1], [0.2, 0.2]])
    show = Show(medium=Medium.AUDIO)
    assert part_of(ONLY, stereo, show) == part_of(ONLY, stereo.T.copy(), show)
    assert heard(part_of(ONLY, stereo, show).content)[1] == [9830, 3277, 6553]


def test_silence_of_no_length_is_refused() -> None:
    with pytest.raises(DataError, match="0 frames"):
        wav_of(np.zeros(0), 8000)


def test_a_window_becomes_rows_under_the_names_of_its_channels() -> None:
    window = np.arange(40, dtype=np.float32).reshape(20, 2) / 3
    part = part_of(ONLY, window, Show(names=("x", "y")))
    assert part.medium is Medium.SERIES
    told = json.loads(part.content)
    assert told["names"] == ["x", "y"]
    assert told["rows"][1] == [0.666667, 1.0]
    assert len(told["rows"]) == 20


def test_channels_without_fitting_names_are_numbered() -> None:
    window = np.zeros((20, 3))
    told = json.loads(part_of(ONLY, window, Show(names=("x",))).content)
    assert told["names"] == ["1", "2", "3"]


def test_what_is_not_finite_is_a_gap_in_the_readings() -> None:
    rows = np.array([[1.0], [np.nan], [np.inf]])
    assert json.loads(series_of(rows, ["x"]))["rows"] == [[1.0], [None], [None]]


def test_texts_are_shown_as_they_are_also_broken_ones() -> None:
    assert part_of(ONLY, "Grüße ✓\n", PLAIN).content.decode() == "Grüße ✓\n"
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert part_of(ONLY, broken, PLAIN).content.decode().startswith("caf")


def test_a_row_of_named_numbers_is_read_line_by_line() -> None:
    row = np.array([36.6, 71.0])
    show = Show(names=("temperature", "pulse"))
    part = part_of(ONLY, row, show)
    assert part.medium is Medium.TEXT
    assert part.content.decode() == "temperature: 36.6\npulse: 71"


def test_a_flat_vector_is_an_image_if_the_owner_says_its_size() -> None:
    digit = np.arange(64.0)
    part = part_of(ONLY, digit, PLAIN.overridden("image:8x8"))
    assert pixels_of(part.content)[1, 0, 0] == 32
    assert pixels_of(part.content).shape == (8, 8, 1)
    colour = part_of(ONLY, np.arange(12), PLAIN.overridden("image:2x2"))
    assert pixels_of(colour.content).shape == (2, 2, 3)
    with pytest.raises(DataError, match="7 x 8: correct show="):
        part_of(ONLY, digit, PLAIN.overridden("image:7x8"))
    with pytest.raises(DataError, match="no image: say show=image"):
        part_of(ONLY, digit, PLAIN.overridden("image"))


NO_SHOW = "picture image: image:8 image:0x8 image:8x8x8 image:-1x8 image:²x2 audio:"
NO_SHOW += " audio:0 audio:9999999 text:1 series:3"


@pytest.mark.parametrize("text", ["", *NO_SHOW.split()])
def test_what_nothing_can_be_shown_as_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be image"):
        PLAIN.overridden(text)


@pytest.mark.parametrize(
    ("array", "medium"),
    [
        (np.zeros((28, 28)), Medium.IMAGE),
        (np.zeros((128, 6)), Medium.SERIES),
        (np.zeros((128, 6), np.uint8), Medium.IMAGE),
        (np.zeros((3, 32, 32)), Medium.IMAGE),
        (np.zeros(200), Medium.SERIES),
        (np.zeros(4), Medium.TEXT),
        (np.array(3.5), Medium.TEXT),
    ],
)
def test_an_array_is_taken_for_what_it_most_likely_is(
    array: NDArray[Any], medium: Medium
) -> None:
    part = part_of(ONLY, array, PLAIN)
    assert part.medium is medium
    assert part.content


def test_a_showcase_shows_every_field_of_a_joined_sample_in_order() -> None:
    fields = [("scan", np.uint8, (4, 4)), ("note", "<U9"), ("ecg", np.float32, (30,))]
    samples = np.zeros(2, dtype=fields)
    samples["note"] = ["first", "second"]
    pool = Pool(ArraySource(samples))
    shows = {"ecg": Show(names=("mV",))}
    parts = Showcase(pool, shows).parts(Uid(pool.uids[1]))
    assert [(part.name, part.medium) for part in parts] == [
        ("scan", Medium.IMAGE),
        ("note", Medium.TEXT),
        ("ecg", Medium.SERIES),
    ]
    assert parts[1].content == b"second"
    assert json.loads(parts[2].content)["names"] == ["mV"]


def test_a_sample_that_is_not_in_the_pool_is_refused() -> None:
    showcase = Showcase(Pool(ArraySource(np.zeros((1, 3)))))
    with pytest.raises(DataError, match="no longer in the pool"):
        showcase.parts(Uid("0" * 32))


def test_content_does_not_stand_in_the_representation_of_a_part() -> None:
    assert "secret" not in repr(part_of(ONLY, "secret", PLAIN))
