import math

import numpy as np
import pytest

from fedask.client.learning.scorers.learned_scorer import (
    FEWEST_GAINS,
    fit_value,
    predict_value,
)
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import DataError


def past(n: int, q: int, seed: int = 0) -> tuple[Reals, Reals]:
    """Descriptors, and gains that the first raises and the last lowers."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, q))
    return x, 2 * x[:, 0] - x[:, -1] + rng.normal(0, 0.1, n)


def test_one_descriptor_by_hand() -> None:
    # Slope sum (x - mean) y / (sum (x - mean)^2 + strength) = 8 / (2 + 2), through the
    # means (1/2, 2).
    x = np.array([[0.0], [1.0]] * 4)
    y = np.array([0.0, 4.0] * 4)

    fitted = fit_value(x, y, strength=2.0)

    assert fitted is not None
    assert fitted[0] == pytest.approx((2.0,))
    assert fitted[1] == pytest.approx(1.0)
    scores = predict_value(fitted, np.array([[0.0], [0.5], [1.0]]))
    np.testing.assert_allclose(
        scores, [1 / (1 + math.exp(-gain)) for gain in (1, 2, 3)], rtol=1e-6
    )


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("unit", [1.0, 0.05])
def test_it_equals_least_squares_with_rows_that_pull_to_zero(
    strength: float, unit: float
) -> None:
    x, y = past(50, 4)
    new = past(200, 4, seed=1)[0]

    scores = predict_value(fit_value(x, y, strength, unit), new)

    # Hoerl and Kennard's ridge as plain least squares: one made-up row per weight, and
    # a column of ones, which those rows leave free, for the intercept.
    pull = np.sqrt(strength) * np.eye(4, 5)
    rows = np.concatenate([np.c_[x, np.ones(50)], pull])
    exact = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(4)]))[0]
    gains = np.c_[new, np.ones(200)] @ exact / unit
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-gains)), atol=1e-6)


def test_it_learns_which_descriptor_pays() -> None:
    x, y = past(60, 3)
    new, gains = past(300, 3, seed=1)

    learnt = predict_value(fit_value(x, y, strength=0.1), new)

    assert np.corrcoef(learnt, gains)[0, 1] > 0.95
    assert np.corrcoef(new.mean(axis=1), gains)[0, 1] < 0.5


def test_no_effect_scores_a_half() -> None:
    x = past(20, 2)[0]

    scores = predict_value(fit_value(x, np.zeros(20), strength=1.0), x)

    assert scores.tolist() == [0.5] * 20


def test_few_gains_leave_the_mean_of_the_descriptors() -> None:
    x, y = past(FEWEST_GAINS, 3)

    few = fit_value(x[1:], y[1:], strength=1.0)

    assert few is None
    np.testing.assert_allclose(predict_value(few, x), x.mean(axis=1), rtol=1e-6)
    assert fit_value(x, y, strength=1.0) is not None
    assert fit_value(x[:0], y[:0], strength=1.0) is None


def test_huge_gains_do_not_overflow() -> None:
    fitted = (np.array([1e30]), -5e29)

    assert predict_value(fitted, np.array([[0.0], [1.0]])).tolist() == [0.0, 1.0]


def test_a_gain_that_is_no_number_is_refused() -> None:
    x, y = past(20, 3)
    y[3] = math.nan
    with pytest.raises(DataError, match="measured gain is NaN"):
        fit_value(x, y, strength=1.0)
