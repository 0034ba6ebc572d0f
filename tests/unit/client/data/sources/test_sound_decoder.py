import io
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources import sound_decoder
from fedask.client.data.sources.sound_decoder import FORMATS, decode_sound

TONE = np.sin(np.arange(8000) / 10).astype(np.float32)[:, None] * [[0.5, 0.25]]


def packed(values: NDArray[np.float64], kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, values, 16000, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - {".opus"}))
def test_a_sound_is_what_was_packed(suffix: str) -> None:
    sound, rate = decode_sound(packed(TONE, FORMATS[suffix]), suffix)

    assert (rate, sound.shape[1]) == (16000, 2)
    assert sound.dtype == np.float32
    near = sound[: len(TONE)]  # MP3 ends in silence
    assert np.corrcoef(near[:, 0], TONE[: len(near), 0])[0, 1] > 0.99
    if suffix in {".flac", ".aif"}:
        assert np.abs(near - TONE).max() < 2**-14


def test_damage_is_refused_or_decoded_never_more() -> None:
    whole = packed(TONE, "FLAC")
    for at in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        try:
            sound, _ = decode_sound(bytes(damaged), ".flac")
        except BrokenSampleError:
            continue
        assert np.abs(sound).max() <= 1.0
    with pytest.raises(BrokenSampleError, match="no sound that can be decoded"):
        decode_sound(b"", ".flac")


def test_another_format_than_the_name_says_is_refused() -> None:
    with pytest.raises(BrokenSampleError, match=r"no \.flac file but OGG"):
        decode_sound(packed(TONE, "OGG"), ".flac")


def test_hours_of_silence_in_a_few_bytes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = packed(np.zeros((500_000, 2)), "FLAC")
    monkeypatch.setattr(sound_decoder, "MAX_VALUES", 1999)
    tracemalloc.start()
    with pytest.raises(BrokenSampleError, match="more than 1999"):
        decode_sound(data, ".flac")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20  # of the 4 MB that it stands for

    monkeypatch.setattr(sound_decoder, "MAX_VALUES", 1_000_000)
    assert decode_sound(data, ".flac")[0].shape == (500_000, 2)


def test_without_soundfile_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(OSError, match=r"fedask\[sounds\]"):
        decode_sound(b"", ".flac")
