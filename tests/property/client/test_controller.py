"""Controllers against slow obvious references, and the bounds that they state."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.client.streams import arriving, made, run

from fedask.client.learning.stream.controller import CONTROLLERS
from fedask.client.records.arrival_pace import ControllerState

CHECK = settings(max_examples=150, deadline=None)
UNIT = st.floats(0.0, 1.0)
# Few values make ties, and ties are what breaks a quantile.
UTILITIES = st.one_of(
    st.lists(st.floats(-1.5, 1.0, width=32), max_size=150),
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), max_size=150),
)
BUDGETS = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0]), UNIT)
MEMORIES = st.integers(1, 40)


def slow_biqf(
    utilities: list[float], budget: float, memory: int, tolerance: float
) -> list[int]:
    window: deque[float] = deque(maxlen=memory)
    asked: list[int] = []
    for row, utility in enumerate(utilities):
        window.append(utility)
        ranked = sorted(window)
        place = (1 - budget) * (len(ranked) - 1)
        low = int(place)
        high = min(low + 1, len(ranked) - 1)
        theta = ranked[low] + (ranked[high] - ranked[low]) * (place - low)
        owed = budget * (row + 1) - len(asked)
        reach = ranked[-1] - ranked[0]
        if reach == 0:
            wanted = owed >= 0
        else:
            wanted = utility - (theta - reach * owed / tolerance) >= 0
        asked += [row] * wanted
    return asked


# Sixteenths, and budgets to match, are exact: both sides compute the same numbers, in
# whatever order.
@CHECK
@given(
    st.lists(st.integers(-16, 16).map(lambda n: n / 16), max_size=120),
    st.sampled_from([0.0, 0.0625, 0.25, 0.5, 1.0]),
    st.sampled_from([1, 2, 5, 17]),  # places between two ranks are exact too
    st.sampled_from([1.0, 4.0, 32.0]),
)
def test_biqf_is_the_obvious_one(
    utilities: list[float], budget: float, memory: int, tolerance: float
) -> None:
    biqf = made("biqf", memory=memory, tolerance=tolerance)

    asked, _ = run(biqf, arriving(utilities, budget))

    assert asked == slow_biqf(utilities, budget, memory, tolerance)


def slow_split(
    utilities: list[float], draws: list[float], budget: float, v: float, w: int
) -> list[int]:
    theta = 1.0
    labels: list[int] = []
    for utility, draw in zip(utilities, draws, strict=True):
        spent = sum(n * (1 - 1 / w) ** age for age, n in enumerate(reversed(labels)))
        asked = False
        if spent / w < budget:
            if draw < v:
                asked = draw / v < budget
            else:
                asked = 1 - utility < theta
                theta *= 0.99 if asked else 1.01
        labels.append(int(asked))
    return np.flatnonzero(labels).tolist()


@CHECK
@given(st.integers(0, 2**32), st.floats(0.013, 0.9), st.floats(0.01, 0.99), MEMORIES)
def test_split_is_the_obvious_one(
    seed: int, budget: float, explore: float, memory: int
) -> None:
    rng = np.random.default_rng(seed)
    utilities, draws = rng.random(120).tolist(), rng.random(120).tolist()
    split = made("split", explore=explore, memory=memory)

    asked, _ = run(split, arriving(utilities, budget, draws))

    assert asked == slow_split(utilities, draws, budget, explore, memory)


@CHECK
@given(UTILITIES, BUDGETS, MEMORIES, st.floats(0.1, 60.0), st.booleans())
def test_biqf_is_never_further_from_its_budget_than_it_says(
    utilities: list[float], budget: float, memory: int, tolerance: float, cut: bool
) -> None:
    biqf = made("biqf", memory=memory, tolerance=tolerance)
    state = biqf.start(ControllerState(), cut=cut)
    labels = 0
    for count, arrival in enumerate(arriving(utilities, budget), start=1):
        queried = biqf.query(state, arrival)
        state = biqf.update(state, arrival, queried=queried)
        labels += queried

        assert abs(budget * count - labels) <= tolerance + 1
        assert state.owed == pytest.approx(budget * count - labels, abs=1e-9)
        assert len(state.recent) <= memory


@CHECK
@given(UTILITIES, BUDGETS, MEMORIES, UNIT, st.integers(0, 2**32), st.integers(0, 100))
def test_split_never_asks_more_than_it_says_of_any_samples_in_a_row(
    utilities: list[float],
    budget: float,
    memory: int,
    explore: float,
    seed: int,
    start: int,
) -> None:
    draws = np.random.default_rng(seed).random(len(utilities))
    split = made("split", memory=memory, explore=explore)

    asked, _ = run(split, arriving(utilities, budget, draws))

    rows = [row for row in asked if row >= start]
    count = max(0, len(utilities) - start)
    assert len(rows) <= (budget + 1 / memory) * count + budget * memory + 1


@CHECK
@given(st.sampled_from(sorted(CONTROLLERS)), UTILITIES, BUDGETS, st.integers(0, 150))
def test_asking_changes_nothing_and_a_stop_half_way_neither(
    name: str, utilities: list[float], budget: float, stop: int
) -> None:
    controller = made(name, memory=10)
    arrivals = arriving(utilities, budget)
    whole, end = run(controller, arrivals)

    for arrival in arrivals[:20]:
        controller.query(end, arrival)
    first, middle = run(controller, arrivals[:stop])
    second, last = run(made(name, memory=10), arrivals[stop:], middle)

    assert first + [stop + row for row in second] == whole
    assert last == end
