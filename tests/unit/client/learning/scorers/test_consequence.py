import numpy as np
import pytest

from fedask.client.learning.scorers.consequence import consequence
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError


def slow_risk(p: list[float], costs: list[list[float]]) -> float:
    c = range(len(p))
    risk = min(sum(p[i] * costs[i][j] for i in c) for j in c)
    return risk / min(max(costs[i][j] for i in c) for j in c)


def predictions(n: int, c: int, sharpness: float) -> Reals:
    logits = np.random.default_rng(0).normal(0, sharpness, (n, c))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Reals = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


def random_costs(c: int) -> Reals:
    costs: Reals = np.random.default_rng(1).exponential(1, (c, c))
    np.fill_diagonal(costs, 0)
    return costs


@pytest.mark.parametrize("c", [2, 3, 10, 100])
@pytest.mark.parametrize("sharpness", [0.1, 2.0, 60.0])
def test_scores_equal_a_slow_reference(c: int, sharpness: float) -> None:
    probs, costs = predictions(60, c, sharpness), random_costs(c)

    scores = consequence(probs, costs)

    expected = [slow_risk(p, costs.tolist()) for p in probs.astype(np.float64).tolist()]
    np.testing.assert_allclose(scores, expected, atol=1e-7 + c * 2.0**-26)


@pytest.mark.parametrize("c", [2, 3, 10])
@pytest.mark.parametrize("price", [1.0, 250.0, 1e-3])
def test_equal_costs_are_unscaled_least_confidence(c: int, price: float) -> None:
    probs = predictions(500, c, 2.0)

    scores = consequence(probs, price * (1 - np.eye(c)))

    # The float32 rows sum to 1 within c / 2 units in the last place.
    np.testing.assert_allclose(scores, 1 - probs.max(axis=1), atol=c * 2.0**-24)


def test_elkans_threshold_is_where_the_risk_is_highest() -> None:
    # Elkan 2001, section 1.3: with the costs 5 and 1 of the German credit data the
    # decision turns at p* = 1 / (1 + 5); there both decisions cost 5/6.
    costs = np.array([[0.0, 1.0], [5.0, 0.0]])
    p = np.array([0.0, 1 / 12, 1 / 6, 1 / 3, 1.0])

    scores = consequence(np.stack([1 - p, p], axis=1), costs)

    np.testing.assert_allclose(scores, [0, 5 / 12, 5 / 6, 2 / 3, 0], atol=1e-7)


def test_the_costly_confusion_is_asked_first() -> None:
    # Both rows are equally uncertain; mistaking class 2 for 0 costs ten times as much.
    costs = np.array([[0, 1, 1], [1, 0, 1], [10, 1, 0]], dtype=np.float64)
    probs = np.array([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]])

    scores = consequence(probs, costs)

    assert scores[0] == pytest.approx(0.4)
    assert scores[1] == pytest.approx(0.6)  # better to decide 2: 0.6 of cost 1


def test_no_prediction_costs_more_than_the_most_cautious_decision() -> None:
    costs = random_costs(4)
    probs = np.random.default_rng(0).dirichlet([0.3] * 4, 20_000)

    worst = costs.max(axis=0).min()
    risk = (probs @ costs).min(axis=1)

    assert risk.max() <= worst
    np.testing.assert_allclose(consequence(probs, costs), risk / worst, atol=1e-7)


def test_a_certain_prediction_costs_exactly_nothing() -> None:
    assert consequence(np.eye(3), random_costs(3)).tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ([[0, 1], [1, 0]], r"must be \(3, 3\), got \(2, 2\)"),
        ([0, 1, 1], r"must be \(3, 3\), got \(3,\)"),
        ([[0, 1, -1], [1, 0, 1], [1, 1, 0]], "deciding 2 when 0 is true is -1.0"),
        ([[0, 1, 1], [np.nan, 0, 1], [1, 1, 0]], "deciding 0 when 1 is true is nan"),
        ([[0, 1, 1], [1, 0, 1], [1, np.inf, 0]], "deciding 1 when 2 is true is inf"),
        ([[0, 1, 1], [1, 2, 1], [1, 1, 0]], "deciding 1 when 1 is true is 2.0"),
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], "deciding 0 never costs anything"),
        ([[0, 0, 1], [1, 0, 1], [1, 0, 0]], "deciding 1 never costs anything"),
    ],
)
def test_faulty_costs_are_refused(costs: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        consequence(np.eye(3), np.array(costs, dtype=np.float64))
