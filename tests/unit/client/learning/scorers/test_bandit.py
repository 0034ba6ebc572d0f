import math

import numpy as np
import pytest

from fedask.client.learning.scorers.bandit import (
    BanditState,
    probabilities,
    update,
)
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError

SCORERS = np.eye(2)  # the advice when a scorer itself is drawn


def start(scorers: int, horizon: int, delta: float = 0.1) -> BanditState:
    """Return a state that trusts all scorers alike."""
    return BanditState(log_weights=(0.0,) * scorers, horizon=horizon, delta=delta)


def draw(state: BanditState, rng: np.random.Generator) -> int:
    """Draw the scorer to follow."""
    return int(rng.choice(len(state.log_weights), p=probabilities(state)))


def slow_update(
    w: list[float],
    horizon: int,
    delta: float,
    advice: Reals,
    chosen: int,
    reward: float,
) -> tuple[list[float], list[float]]:
    """EXP4.P with plain weights, as the paper writes it; arms are scorers (ALBL)."""
    k = len(w)
    floor = min(math.sqrt(math.log(k) / (k * horizon)), 1 / k)
    p = [(1 - k * floor) * x / sum(w) + floor for x in w]
    rows = advice.tolist()
    asked = sum(p[i] * rows[i][chosen] for i in range(k))
    bonus = math.sqrt(math.log(k / delta) / (k * horizon))
    new = [
        w[i] * math.exp(floor / 2 * (reward * rows[i][chosen] / asked + bonus / p[i]))
        for i in range(k)
    ]
    return new, p


def test_the_first_steps_by_hand() -> None:
    # k = 2, T = 8: floor sqrt(log 2 / 16) = 0.20814. Both start at 1/2. A reward of 1
    # for the first adds floor / 2 * 1 / (1/2) = floor to its log weight; doubt is even.
    state = start(2, horizon=8, delta=0.5)
    floor = 0.2081385

    assert state.floor == pytest.approx(floor, abs=1e-6)
    assert probabilities(state).tolist() == [0.5, 0.5]
    state = update(state, SCORERS, 0, 1.0)
    assert state.log_weights == pytest.approx((0.0, -floor), abs=1e-6)
    share = 1 / (1 + math.exp(-floor))
    first = (1 - 2 * floor) * share + floor
    assert probabilities(state) == pytest.approx([first, 1 - first], abs=1e-6)

    # No reward: only doubt moves, sqrt(log(2 / 0.5) / 16) / p, more for the second.
    state = update(state, SCORERS, 1, 0.0)
    doubt = math.sqrt(math.log(4) / 16) * floor / 2
    gap = -floor + doubt * (1 / (1 - first) - 1 / first)
    assert state.log_weights == pytest.approx((0.0, gap), abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_steps_equal_a_slow_reference(k: int) -> None:
    rng = np.random.default_rng(0)
    state, weights = start(k, horizon=200, delta=0.1), [1.0] * k
    for _ in range(200):
        advice = rng.dirichlet([0.5] * 6, size=k)
        chosen, reward = int(rng.integers(6)), float(rng.random())
        weights, p = slow_update(weights, 200, 0.1, advice, chosen, reward)

        assert probabilities(state) == pytest.approx(p, rel=1e-9)
        state = update(state, advice, chosen, reward)

    assert max(state.log_weights) == 0.0


def test_scorers_that_would_have_asked_the_same_share_the_reward() -> None:
    advice = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    first, second, third = update(start(3, 10), advice, 0, 1.0).log_weights

    assert first == second > third


@pytest.mark.parametrize("best", [0, 1])
def test_regret_on_two_arms_keeps_the_papers_bound(best: int) -> None:
    # Beygelzimer et al., theorem 2: 6 sqrt(k T log(N / delta)), here 1955; always
    # taking the other arm costs 16,000, a fair coin 8,000.
    horizon, delta = 20_000, 0.1
    rng = np.random.default_rng(0)
    chances = [0.9 if arm == best else 0.1 for arm in range(2)]
    state, won = start(2, horizon, delta), 0.0
    for _ in range(horizon):
        arm = draw(state, rng)
        reward = float(rng.random() < chances[arm])
        won += reward
        state = update(state, SCORERS, arm, reward)

    regret = 0.9 * horizon - won
    assert regret < 6 * math.sqrt(2 * horizon * math.log(2 / delta))
    assert probabilities(state)[best] > 0.98


def test_it_comes_back_when_the_better_arm_changes() -> None:
    rng = np.random.default_rng(0)
    state = start(2, horizon=4000)
    for step in range(4000):
        arm = draw(state, rng)
        good = 0 if step < 1000 else 1
        state = update(state, SCORERS, arm, float(arm == good))

    assert probabilities(state)[1] > 0.9


def test_no_scorer_is_ever_given_up() -> None:
    state = start(3, horizon=100)
    for _ in range(10_000):  # far beyond the horizon: weights grow without bound
        state = update(state, np.eye(3), 0, 1.0)

    p = probabilities(state)
    assert p.sum() == pytest.approx(1.0)
    assert p.min() >= state.floor
    assert p[0] > 0.8
    assert all(map(math.isfinite, state.log_weights))


def test_large_weights_do_not_overflow() -> None:
    state = BanditState(log_weights=(5000.0, 4999.0), horizon=100)

    small = BanditState(log_weights=(0.0, -1.0), horizon=100)
    assert probabilities(state) == pytest.approx(probabilities(small).tolist())


def test_one_scorer_is_always_followed() -> None:
    state = update(start(1, horizon=5), np.ones((1, 4)), 2, 0.5)

    assert probabilities(state).tolist() == [1.0]


def test_a_short_horizon_explores_evenly() -> None:
    assert probabilities(start(10, horizon=1)).tolist() == pytest.approx([0.1] * 10)


def test_advice_and_state_are_left_alone() -> None:
    state, advice = start(2, 50), np.eye(2)
    advice.flags.writeable = False

    update(state, advice, 1, 1.0)

    assert state == start(2, 50)


def test_what_does_not_fit_is_refused() -> None:
    state = start(2, 50)
    for reward in (-0.1, 1.1, math.nan):
        with pytest.raises(DataError, match=r"reward must be in \[0, 1\]"):
            update(state, SCORERS, 0, reward)
    for advice, chosen in ((np.eye(3), 0), (SCORERS, 2), (SCORERS, -1)):
        with pytest.raises(ConfigError, match="is not there"):
            update(state, advice, chosen, 0.5)
    with pytest.raises(ConfigError, match="no scorer advised candidate 1"):
        update(state, np.array([[1.0, 0.0], [1.0, 0.0]]), 1, 0.5)
