import io
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.sounds import SoundReader, decode_mono, fitted
from fedask.common.errors import ConfigError


def wav(pcm: bytes, width: int = 2, channels: int = 1, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("width", "pcm"),
    [
        (1, bytes([0, 128, 192, 255])),
        (2, np.array([-(2**15), 0, 2**14, 2**15 - 1], dtype="<i2").tobytes()),
        (3, b"\0\0\x80" + b"\0\0\0" + b"\0\0\x40" + b"\xff\xff\x7f"),
        (4, np.array([-(2**31), 0, 2**30, 2**31 - 1], dtype="<i4").tobytes()),
    ],
)
def test_every_width_is_scaled_to_one(width: int, pcm: bytes) -> None:
    sound, rate = decode_mono(wav(pcm, width), ".wav")

    assert rate == 8000
    assert sound.dtype == np.float32
    assert sound[:3].tolist() == [-1.0, 0.0, 0.5]
    assert 0.99 < sound[3] <= 1.0


def test_small_numbers_keep_their_sign() -> None:
    assert decode_mono(wav(b"\xff\xff\xff\x01\0\0", 3), ".wav")[0].tolist() == [
        -(2.0**-23),
        2.0**-23,
    ]


def test_channels_are_averaged() -> None:
    pcm = np.array([[100, 300], [-(2**15), -(2**15)]], dtype="<i2").tobytes()

    assert decode_mono(wav(pcm, channels=2), ".wav")[0].tolist() == [200 / 2**15, -1.0]


def test_sounds_are_cut_or_end_in_silence() -> None:
    sound = np.ones(3, dtype=np.float32)

    assert fitted(sound, 2).tolist() == [1, 1]
    assert fitted(sound, 5).tolist() == [1, 1, 1, 0, 0]


def test_damage_anywhere_is_refused_or_decoded_never_more() -> None:
    whole = wav(np.arange(20, dtype="<i2").tobytes())
    for at in range(len(whole)):
        with pytest.raises(BrokenSampleError):
            decode_mono(whole[:at], ".wav")
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[at] ^= flip
            try:
                sound, _ = decode_mono(bytes(damaged), ".wav")
            except BrokenSampleError:
                continue
            assert np.abs(sound).max() <= 1.0


def test_sounds_of_another_rate_are_set_aside_or_resampled(tmp_path: Path) -> None:
    for number, rate in enumerate((8000, 8000, 16000)):
        pcm = np.full(400, 1000 * number, dtype="<i2").tobytes()
        (tmp_path / f"{number}.wav").write_bytes(wav(pcm, rate=rate))

    source = look({"data": str(tmp_path), "frames": 400}, Index())
    assert [name for name, _ in source.broken()] == ["2.wav"]
    assert "8000 Hz" in source.broken()[0].reason

    source = look({"data": str(tmp_path), "frames": 400, "rate": 16000}, Index())
    assert source.broken() == []
    levels = source.load(np.arange(3))[:, 200] * 2**15
    assert sorted(np.rint(levels).tolist()) == [0, 1000, 2000]


def test_people_hear_the_rate_that_was_recorded() -> None:
    data = wav(np.zeros(8000, dtype="<i2").tobytes())
    original = SoundReader(frames=8000, rate=16000).whole(data, ".wav", 0)

    assert (original.rate_hz, original.model_reads) == (8000, 0.5)
    assert SoundReader(frames=16000, rate=16000).whole(data, ".wav", 0).model_reads == 0


def test_rates_too_far_apart_are_set_aside() -> None:
    with pytest.raises(BrokenSampleError, match="too far from 16000"):
        SoundReader(rate=16000).decode(wav(b"\0\0", rate=100), ".wav")


@pytest.mark.parametrize("options", [{"frames": 0}, {"frames": 1 << 30}, {"rate": -1}])
def test_wrong_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        SoundReader(**options)
