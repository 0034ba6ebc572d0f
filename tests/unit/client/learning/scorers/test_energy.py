import math

import numpy as np
import pytest

from fedask.client.learning.scorers.energy import energy


def slow_energy(row: list[float]) -> float:
    top = max(row)
    height = top + math.log(sum(math.exp(z - top) for z in row))
    return 1 / (1 + math.exp(height)) if height < 700 else 0.0


@pytest.mark.parametrize("c", [2, 3, 10, 40])
@pytest.mark.parametrize("height", [0.1, 5.0, 30.0])
def test_scores_equal_a_slow_reference(c: int, height: float) -> None:
    logits = np.random.default_rng(0).normal(0, height, (200, c)).astype(np.float32)

    scores = energy(logits)

    expected = [slow_energy(row) for row in logits.astype(np.float64).tolist()]
    # A height of 100 has an error of 1e-5, and exp turns that into a relative one;
    # below 1e-38 float32 has fewer digits.
    np.testing.assert_allclose(scores, expected, rtol=5e-5, atol=1e-44)


def test_hand_computed_values() -> None:
    logits = np.log(np.array([[1, 2], [0.125, 0.125], [0.5, 0.5]])).astype(np.float32)

    scores = energy(logits)  # 1 / (1 + 3), 1 / (1 + 1 / 4), 1 / (1 + 1)

    np.testing.assert_allclose(scores, [0.25, 0.8, 0.5], rtol=1e-6)


def test_the_energy_comes_back_from_the_score() -> None:
    # Softmax gives both more than 0.9999; energy tells the known from the strange one.
    known, strange = 11.19, 7.11
    logits = np.array([[known, -9], [strange, -9]], dtype=np.float32)

    scores = energy(logits)

    assert scores[0] < scores[1]
    np.testing.assert_allclose(np.log(1 / scores - 1), [known, strange], rtol=1e-4)


def test_very_high_and_very_low_logits_do_not_overflow() -> None:
    logits = np.array([[3e4, -3e4], [-3e4, -3e4], [3e38, 3e38]], dtype=np.float32)

    assert energy(logits).tolist() == [0.0, 1.0, 0.0]


def test_a_shift_that_softmax_ignores_is_seen() -> None:
    logits = np.array([[1, 3], [0, 2], [-1, 1]], dtype=np.float32)

    assert (np.diff(energy(logits)) > 0).all()
