import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from fedask.client.learning.scorers.label_value import (
    FEWEST_GAINS,
    ValueWeights,
    fit_value,
    predict_value,
)
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError


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

    assert fitted.learnt
    assert fitted.weights == pytest.approx((2.0,))
    assert fitted.intercept == pytest.approx(1.0)
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

    assert not few.learnt
    np.testing.assert_allclose(predict_value(few, x), x.mean(axis=1), rtol=1e-6)
    assert fit_value(x, y, strength=1.0).learnt
    assert not fit_value(x[:0], y[:0], strength=1.0).learnt


def test_huge_gains_do_not_overflow() -> None:
    fitted = ValueWeights(weights=(1e30,), intercept=-5e29, learnt=True)

    assert predict_value(fitted, np.array([[0.0], [1.0]])).tolist() == [0.0, 1.0]


def test_weights_survive_json() -> None:
    fitted = fit_value(*past(20, 3), strength=1.0)
    x = past(9, 3, seed=2)[0]

    again = ValueWeights(**json.loads(json.dumps(asdict(fitted))))

    assert np.array_equal(predict_value(again, x), predict_value(fitted, x))


def test_what_does_not_fit_is_refused() -> None:
    x, y = past(20, 3)
    with pytest.raises(ConfigError, match=r"shapes \(19,\) and \(20, 3\)"):
        fit_value(x, y[1:], strength=1.0)
    with pytest.raises(ConfigError, match="at least one descriptor"):
        fit_value(x[:, :0], y, strength=1.0)
    with pytest.raises(ConfigError, match="fitted on 3 descriptors, got 2"):
        predict_value(fit_value(x, y, strength=1.0), x[:, :2])
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="strength and unit must be above 0"):
            fit_value(x, y, strength=bad)
        with pytest.raises(ConfigError, match="strength and unit must be above 0"):
            fit_value(x, y, strength=1.0, unit=bad)
    y[3] = math.nan
    with pytest.raises(DataError, match="measured gain is NaN"):
        fit_value(x, y, strength=1.0)
