import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly

from fedask.client.data.sources.resampling import resampled

RATES = [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (16001, 8000)]


def tone(hz: float, rate: int, seconds: float = 0.5) -> NDArray[np.float32]:
    at = np.arange(int(rate * seconds)) / rate
    return (0.7 * np.sin(2 * np.pi * hz * at + 0.3)).astype(np.float32)


@pytest.mark.parametrize(("rate", "wanted"), RATES)
@pytest.mark.parametrize("hz", [50, 440, 3000])
def test_a_tone_stays_the_tone_that_it_was(rate: int, wanted: int, hz: int) -> None:
    got = resampled(tone(hz, rate), rate, wanted, 1 << 20)
    meant = tone(hz, wanted)
    inside = slice(100, -100)

    assert abs(len(got) - len(meant)) <= 1
    # 80 dB, what the window promises, of an amplitude of 0.7.
    assert np.abs(got[: len(meant)] - meant)[inside].max() < 1e-4


@pytest.mark.parametrize(
    ("rate", "wanted", "hz"), [(44100, 16000, 9000), (48000, 8000, 5000)]
)
def test_what_the_new_rate_cannot_hold_does_not_fold_back(
    rate: int, wanted: int, hz: int
) -> None:
    got = resampled(tone(hz, rate), rate, wanted, 1 << 20)

    assert np.abs(got[100:-100]).max() < 2e-4


@pytest.mark.parametrize(("rate", "wanted"), RATES)
def test_a_band_limited_noise_is_as_scipy_makes_it(rate: int, wanted: int) -> None:
    rng = np.random.default_rng(3)
    tones = [tone(hz, rate) for hz in rng.uniform(50, 2500, 20)]
    sound = np.mean(tones, axis=0).astype(np.float32)
    got = resampled(sound, rate, wanted, 1 << 20)
    reference = resample_poly(sound, wanted, rate)

    assert len(got) == len(reference)
    assert np.abs(got - reference)[200:-200].max() < 5e-3  # its filter is shorter


def test_the_beginning_is_that_of_the_whole() -> None:
    sound = tone(440, 44100)
    whole = resampled(sound, 44100, 16000, 1 << 20)

    assert np.array_equal(resampled(sound, 44100, 16000, 1500), whole[:1500])
    assert len(resampled(sound[:1], 64, 1, 10)) == 1
    assert np.abs(whole).max() <= 1
