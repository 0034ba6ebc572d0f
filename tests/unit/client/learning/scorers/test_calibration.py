import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.scorers.calibration import (
    COLDEST,
    FEWEST_LABELS,
    PRIOR_LABELS,
    calibrated,
    fit_temperature,
)
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError

Labels = NDArray[np.int64]


def too_sure(n: int, temperature: float, seed: int = 0) -> tuple[Reals, Labels]:
    """Logits whose labels follow softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, 5)).astype(np.float32)
    noise = rng.gumbel(size=(n, 5))  # the largest of z + Gumbel follows softmax(z)
    return logits, (logits / temperature + noise).argmax(axis=1)


def two_classes(n: int, accuracy: float, logit: float) -> tuple[Reals, Labels]:
    """Build predictions of equal confidence, of which a share is right."""
    labels = np.arange(n) % 2
    logits = np.zeros((n, 2))
    right = np.arange(n) < accuracy * n
    logits[np.arange(n), np.where(right, labels, 1 - labels)] = logit
    return logits, labels


def calibration_error(probs: Reals, labels: Labels, bins: int = 15) -> float:
    """Return the mean of |accuracy - confidence| over bins (Naeini et al., 2015)."""
    confidence = probs.max(axis=1).astype(np.float64)
    gap = (probs.argmax(axis=1) == labels) - confidence
    place = np.ceil(confidence * bins).astype(np.int64) - 1
    return float(np.abs(np.bincount(place, weights=gap)).sum()) / len(labels)


def slow_loss(logits: Reals, labels: Labels, log_t: float) -> float:
    total = PRIOR_LABELS / 2 * log_t**2
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        z = [x / math.exp(log_t) for x in row]
        total += max(z) + math.log(sum(math.exp(x - max(z)) for x in z)) - z[label]
    return total


@pytest.mark.parametrize("accuracy", [0.6, 0.75, 0.95])
def test_two_classes_have_a_closed_form(accuracy: float) -> None:
    # Likeliest where the confidence is the accuracy: T = logit of the model / log odds.
    logits, labels = two_classes(200_000, accuracy, logit=5.0)

    found = fit_temperature(logits, labels)

    expected = 5.0 / math.log(accuracy / (1 - accuracy))
    assert found == pytest.approx(expected, rel=5e-3)  # the prior is 10 of 200,000


@pytest.mark.parametrize("n", [12, 40, 300])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 4.0])
def test_no_temperature_of_a_fine_grid_is_likelier(n: int, temperature: float) -> None:
    logits, labels = too_sure(n, temperature)

    found = math.log(fit_temperature(logits, labels))

    best = slow_loss(logits, labels, found)
    grid = np.linspace(math.log(0.05), math.log(20), 241).tolist()
    assert best <= min(slow_loss(logits, labels, x) for x in grid) + 1e-6
    # And it is the bottom, not somewhere near it.
    assert best <= slow_loss(logits, labels, found - 1e-3)
    assert best <= slow_loss(logits, labels, found + 1e-3)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_many_labels_find_the_temperature_that_made_them(temperature: float) -> None:
    found = fit_temperature(*too_sure(20_000, temperature))

    assert found == pytest.approx(temperature, rel=0.05)


def test_few_labels_barely_move_it() -> None:
    steps = [
        np.mean([fit_temperature(*too_sure(n, 4.0, seed)) for seed in range(10)])
        for n in (10, 40, 160, 640)
    ]

    assert 1.0 < steps[0] < 2.0
    assert (np.diff(steps) > 0).all()
    assert steps[-1] > 3.2


def test_ten_lucky_labels_do_not_make_a_model_certain() -> None:
    logits, labels = two_classes(10, accuracy=1.0, logit=2.0)

    assert 0.6 < fit_temperature(logits, labels) < 1.0


def test_too_few_labels_or_one_class_leave_it_at_one() -> None:
    logits, labels = too_sure(100, 4.0)

    few = FEWEST_LABELS - 1
    assert fit_temperature(logits[:few], labels[:few]) == 1.0
    assert fit_temperature(logits, np.zeros(100, dtype=np.int64)) == 1.0
    assert fit_temperature(logits[:0], labels[:0]) == 1.0


def test_the_temperature_stays_within_its_bounds() -> None:
    logits, labels = two_classes(100_000, accuracy=1.0, logit=0.01)

    assert fit_temperature(logits, labels) == pytest.approx(COLDEST, rel=1e-3)


def test_it_takes_the_error_out_of_a_model_that_is_too_sure() -> None:
    logits, labels = too_sure(4000, 3.0)
    fit, held_out = slice(0, 400), slice(400, None)

    temperature = fit_temperature(logits[fit], labels[fit])

    def error(t: float) -> float:
        return calibration_error(calibrated(logits[held_out], t), labels[held_out])

    assert error(1.0) > 0.2
    assert error(temperature) < 0.03


def test_the_same_labels_give_the_same_temperature() -> None:
    logits, labels = too_sure(300, 2.0)

    assert fit_temperature(logits, labels) == fit_temperature(logits.copy(), labels)


def test_what_does_not_fit_is_refused() -> None:
    logits, labels = too_sure(20, 2.0)
    with pytest.raises(ConfigError, match="20 rows of predictions, but 19 labels"):
        fit_temperature(logits, labels[1:])
    with pytest.raises(DataError, match=r"label is outside \[0, 4\)"):
        fit_temperature(logits[:, :4], np.full(20, 4))
    logits[3, 1] = np.inf
    with pytest.raises(DataError, match="diverged"):
        fit_temperature(logits, labels)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="temperature must be above 0"):
            calibrated(logits, temperature)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_calibrated_is_softmax(temperature: float, dtype: type[np.floating]) -> None:
    logits: Reals = too_sure(7000, 2.0)[0].astype(dtype)
    logits.flags.writeable = False

    probs = calibrated(logits, temperature)

    z = logits.astype(np.float64) / temperature
    exp = np.exp(z - z.max(axis=1, keepdims=True))
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, exp / exp.sum(axis=1, keepdims=True), atol=1e-6)


def test_calibrated_gives_a_row_the_same_bits_in_every_batch() -> None:
    logits = too_sure(50, 2.0)[0]

    alone = [calibrated(logits[row : row + 1], 1.7)[0] for row in range(50)]

    assert np.array_equal(calibrated(logits, 1.7), alone)
    assert calibrated(logits[:, :1], 1.7).tolist() == [[1.0]] * 50
    assert calibrated(logits[:0], 1.7).shape == (0, 5)


def test_ruled_out_classes_leave_the_temperature_as_it_was() -> None:
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(0, 4, (60, 3)), rng.integers(0, 3, 60)
    expected = fit_temperature(logits, labels)
    wider = np.concatenate([np.full((60, 1), -np.inf), logits], axis=1)

    assert fit_temperature(wider, labels + 1) == expected
    impossible = np.concatenate([wider, wider[:2]])
    assert fit_temperature(impossible, np.array([*(labels + 1), 0, 0])) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_other_logits_that_are_no_numbers_are_refused(value: float) -> None:
    logits = np.zeros((12, 3))
    logits[3] = -math.inf, 0.0, value
    with pytest.raises(DataError, match="diverged"):
        fit_temperature(logits, np.arange(12) % 2 + 1)
