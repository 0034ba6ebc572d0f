import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile
from tests.support.client.wavs import chunk, extensible, riff, wav, wave_format

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.wav import wav_header, wav_values

UNKNOWN = (0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000)  # as programs write into a pipe
TONE = np.array([0, 1000, -2000, 3000], dtype="<i2")
PCM = chunk(b"fmt ", wave_format(1, 1, 8000, 16))


def values(data: bytes) -> list[float]:
    found, scale, _ = wav_values(data)
    return [float(each) for each in (found / scale).ravel()]


def reason(data: bytes) -> str:
    with pytest.raises(BrokenSampleError) as err:
        wav_values(data)
    return str(err.value)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("form", ["u1", "<i2", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_form_gives_what_scipy_reads(
    form: str, channels: int, *, extended: bool
) -> None:
    rng = np.random.default_rng(channels)
    wide = rng.uniform(-1, 1, (9, channels))
    if form[-2] in "ui":
        top = 2 ** (8 * int(form[-1]) - 1)
        wide = wide * (top - 1) + (top if form == "u1" else 0)
    written = wave_like(wide, form)
    data = wav(written, 11025, extended=extended)
    rate, wanted = wavfile.read(io.BytesIO(data))
    found, scale, hz = wav_values(data)

    assert (hz, rate) == (11025, 11025)
    assert found.shape == (9, channels)
    assert scale == (1.0 if form[-2] == "f" else 2.0 ** (8 * int(form[-1]) - 1))
    silence = 128 if form == "u1" else 0
    assert np.array_equal(found + silence, wanted.reshape(9, channels))


def wave_like(values: NDArray[np.float64], form: str) -> NDArray[np.generic]:
    return values.astype(np.dtype(form))


@pytest.mark.parametrize("size", UNKNOWN)
@pytest.mark.parametrize("whole", [0, 0xFFFFFFFF, 36])
def test_what_a_pipe_left_unsaid_ends_with_the_file(size: int, whole: int) -> None:
    data = riff(PCM, chunk(b"data", TONE.tobytes(), size), size=whole)

    assert values(data) == [0, 1000 / 2**15, -2000 / 2**15, 3000 / 2**15]
    assert values(data + b"\1") == values(data)  # half a frame more


def test_a_size_of_nothing_beside_other_chunks_is_no_sound() -> None:
    after = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 6) + b"fedask")

    assert "has no frame" in reason(riff(PCM, chunk(b"data", b""), after))


def test_chunks_of_odd_length_are_padded_or_not() -> None:
    odd = chunk(b"LIST", b"INFOx")
    sound = chunk(b"data", TONE.tobytes())

    assert values(riff(odd, PCM, odd, sound)) == values(riff(PCM, sound))
    assert values(riff(odd[:-1], PCM, odd[:-1], sound)) == values(riff(PCM, sound))


def test_the_pad_byte_is_no_frame() -> None:
    data = wav(np.array([128, 192, 64], dtype=np.uint8))

    assert values(data) == [0, 0.5, -0.5]


def test_big_endian_and_long_files() -> None:
    form = wave_format(1, 1, 8000, 24, ">")
    pcm = b"\x40\0\0\xff\xff\xff"
    data = riff(
        chunk(b"fmt ", form, order=">"), chunk(b"data", pcm, order=">"), order=">"
    )
    assert values(data) == [0.5, -(2.0**-23)]

    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, 6, 0, 0))
    body = chunk(b"data", TONE.tobytes(), 0xFFFFFFFF)
    long = b"RF64" + riff(sizes, PCM, body, size=0xFFFFFFFF)[4:]
    assert len(values(long)) == 3


@pytest.mark.parametrize(
    ("code", "bits", "told"),
    [
        (7, 8, "mu-law"),
        (0x55, 0, "MP3"),
        (0x1234, 8, "0x1234"),
        (1, 64, "64 bits"),
        (3, 16, "16 bits"),
        (1, 0, "0 bits"),
    ],
)
def test_other_formats_are_named(code: int, bits: int, told: str) -> None:
    for form in (wave_format(code, 1, 8000, bits), extensible(code, 1, 8000, bits)):
        assert told in reason(riff(chunk(b"fmt ", form), chunk(b"data", bytes(8))))


def test_what_contradicts_itself_is_no_sound() -> None:
    form = bytearray(wave_format(1, 1, 8000, 24))
    form[12:14] = struct.pack("<H", 4)
    assert "contradicts" in reason(
        riff(chunk(b"fmt ", bytes(form)), chunk(b"data", bytes(8)))
    )

    other = bytearray(extensible(1, 1, 8000, 16))
    other[-1] ^= 1
    assert "0xfffe" in reason(
        riff(chunk(b"fmt ", bytes(other)), chunk(b"data", bytes(8)))
    )
    assert "format" in reason(riff(chunk(b"data", bytes(8)), PCM))
    assert "cut short: 8 bytes of 10" in reason(
        riff(PCM, chunk(b"data", bytes(8), size=10))
    )
    assert "frames per second" in reason(
        riff(chunk(b"fmt ", wave_format(1, 1, 1 << 30, 16)), chunk(b"data", bytes(8)))
    )


def test_floats_are_a_sound_or_set_aside() -> None:
    assert values(wav(np.array([0.5, -1.5, 2], dtype="<f4"))) == [0.5, -1, 1]
    assert "1 is full scale" in reason(wav(np.array([0, 3000], dtype="<f4")))
    assert "NaN" in reason(wav(np.array([0, np.nan], dtype="<f8")))
    assert "NaN" in reason(wav(np.array([0, -np.inf], dtype="<f4")))


def test_bits_that_fill_no_byte_stand_at_its_top() -> None:
    form = wave_format(1, 1, 8000, 12)
    pcm = np.array([1 << 14, -(1 << 4)], dtype="<i2").tobytes()

    assert values(riff(chunk(b"fmt ", form), chunk(b"data", pcm))) == [0.5, -(2**-11)]
    assert wav_header(riff(chunk(b"fmt ", form), chunk(b"data", pcm))).count == 2
