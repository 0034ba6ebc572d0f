import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedask.client.learning.scorers.cost import per_cost
from fedask.common.errors import ConfigError

unit_interval = st.floats(0, 1, width=32)
prices = st.floats(1e-6, 1e6)


def test_by_hand() -> None:
    scores = np.array([0.8, 0.8, 0.8, 0.4, 0.0])
    costs = np.array([1.0, 2.0, 8.0, 2.0, 2.0])

    scaled = per_cost(scores, costs, unit=2.0)

    np.testing.assert_allclose(scaled, [0.8, 0.8, 0.2, 0.4, 0.0], rtol=1e-7)


@given(unit_interval, unit_interval, prices, prices, prices)
def test_it_rises_with_the_score_and_falls_with_the_cost(
    low: float, high: float, cheap: float, dear: float, unit: float
) -> None:
    low, high = sorted((low, high))
    cheap, dear = sorted((cheap, dear))

    scaled = per_cost(np.array([low, high, high]), np.array([cheap, cheap, dear]), unit)

    assert scaled[0] <= scaled[1]
    assert scaled[1] >= scaled[2]
    assert ((scaled >= 0) & (scaled <= 1)).all()


def test_above_the_unit_the_score_per_cost_decides() -> None:
    # 0.9 for 9 euros is worth less than 0.4 for 2.
    scaled = per_cost(np.array([0.9, 0.4]), np.array([9.0, 2.0]), unit=1.0)

    assert scaled[0] < scaled[1]


@pytest.mark.parametrize("cost", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("row", [0, 3, 40_000])
def test_a_cost_that_cannot_be_is_refused_with_its_row(cost: float, row: int) -> None:
    costs = np.ones(40_001)
    costs[row] = cost

    with pytest.raises(ConfigError, match=f"cost of row {row} is {cost}"):
        per_cost(np.ones(40_001), costs, unit=1.0)


@pytest.mark.parametrize("unit", [0.0, -2.0, np.nan, np.inf])
def test_a_unit_that_cannot_be_is_refused(unit: float) -> None:
    with pytest.raises(ConfigError, match="unit of cost must be above 0"):
        per_cost(np.ones(2), np.ones(2), unit)


def test_every_sample_has_a_cost() -> None:
    with pytest.raises(ConfigError, match="scores has 3, costs has 2"):
        per_cost(np.ones(3), np.ones(2), unit=1.0)
