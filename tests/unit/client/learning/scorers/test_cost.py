import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.client.views import NOTHING, seen

from fedask.client.learning.scorers.scorer import Floats
from fedask.client.learning.scorers.scorer_table import make_scorer

prices = st.floats(2.0**-20, 2.0**20, width=32)


def cheapness(costs: list[float]) -> Floats:
    """Score samples by their costs alone, in units of ``ask.cost_unit``."""
    return worth("cheap", costs, [1.0] * len(costs))


def worth(scorer: str, costs: list[float], doubts: list[float]) -> Floats:
    """Score samples by costs, and by one minus the larger of two probabilities."""
    top = 1.0 - np.array(doubts, dtype=np.float32) / 2
    probs: NDArray[np.float32] = np.stack([top, 1 - top], axis=1)
    uids = np.array([str(row) for row in range(len(costs))])
    view = seen(probs, uids, costs=np.array(costs, dtype=np.float32))
    return make_scorer(scorer)(view, NOTHING)


def test_by_hand() -> None:
    np.testing.assert_allclose(cheapness([0.5, 1.0, 4.0, 1.25]), [1, 1, 0.25, 0.8])


@given(prices, prices)
def test_it_falls_with_the_cost(cheap: float, dear: float) -> None:
    scores = cheapness(sorted((cheap, dear)))

    assert scores[0] >= scores[1]
    assert ((scores >= 0) & (scores <= 1)).all()


def test_above_the_unit_the_score_per_cost_decides() -> None:
    # 0.9 for 9 euros is worth less than 0.4 for 2.
    scores = worth("least-confidence * cheap", [9.0, 2.0], [0.9, 0.4])

    assert scores[0] < scores[1]
