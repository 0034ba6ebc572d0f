from itertools import combinations
from math import e

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.candidates import Points, picks, shortlist

from fedask.client.base.distance import directions
from fedask.client.learning.batchers import greedy_batchers
from fedask.client.learning.batchers.greedy_batchers import (
    FacilityLocation,
    facilities,
    lazy_greedy,
)


def value(x: Points, rows: tuple[int, ...], anchors: Points | None = None) -> float:
    """Sum over all of the similarity to the nearest chosen; x has unit rows."""
    near = np.maximum(x @ x[list(rows)].T, 0.0)
    if anchors is not None:
        near = np.concatenate([near, np.maximum(x @ anchors.T, 0.0)], axis=1)
    return float(near.max(axis=1, initial=0.0).sum())


def slow_greedy(x: Points, k: int, anchors: Points | None = None) -> list[int]:
    rows: list[int] = []
    while len(rows) < k:
        gains = [
            -1.0 if j in rows else round(value(x, (*rows, j), anchors), 8)
            for j in range(len(x))
        ]
        rows.append(int(np.argmax(gains)))
    return rows


@pytest.mark.parametrize("look", [1, 4, 32])
@pytest.mark.parametrize("seed", range(5))
def test_the_lazy_way_picks_what_the_obvious_way_picks(
    monkeypatch: pytest.MonkeyPatch, look: int, seed: int
) -> None:
    monkeypatch.setattr(greedy_batchers, "_LOOK", look)
    x = directions(np.random.default_rng(seed).normal(size=(50, 4)))

    assert facilities(x, None, 20).tolist() == slow_greedy(x, 20)


@pytest.mark.parametrize("seed", range(5))
def test_what_anchors_cover_is_not_covered_again(seed: int) -> None:
    points = directions(np.random.default_rng(seed).normal(size=(45, 4)))
    x, anchors = points[5:], points[:5]

    rows = facilities(x, anchors * 7, 12).tolist()

    assert rows == slow_greedy(x, 12, anchors)
    assert rows != slow_greedy(x, 12)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_batch_is_worth_two_thirds_of_the_best(k: int, seed: int) -> None:
    x = directions(np.random.default_rng(seed).normal(size=(9, 2)))

    rows = picks(FacilityLocation(), shortlist(x), k)

    best = max(value(x, some) for some in combinations(range(9), k))
    assert value(x, tuple(rows)) >= (1 - 1 / e) * best


def test_each_direction_is_asked_once_and_the_fullest_first() -> None:
    # Two samples to the east, three to the north, one to the west.
    features = np.array([[1, 0], [0, 2], [3, 0], [0, 4], [-5, 0], [0, 6]])

    assert picks(FacilityLocation(), shortlist(features), 1) == [1]
    assert picks(FacilityLocation(), shortlist(features), 2) == [0, 1]
    assert picks(FacilityLocation(), shortlist(features), 3) == [0, 1, 4]
    # All is covered: the best score of the rest.
    assert picks(FacilityLocation(), shortlist(features), 4) == [0, 1, 2, 4]


def test_only_the_best_candidates_are_looked_at() -> None:
    features = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0, 1], [0, 1], [0, 1]])

    assert picks(FacilityLocation(most=3), shortlist(features), 1) == [1]
    assert picks(FacilityLocation(), shortlist(features), 1) == [3]
    # At least twice the batch.
    assert picks(FacilityLocation(most=1), shortlist(features), 2) == [2, 3]


def test_zeros_cover_nothing() -> None:
    features = np.array([[0.0, 0.0], [1.0, 0.0]])

    assert picks(FacilityLocation(), shortlist(features), 1) == [1]


@pytest.mark.parametrize("look", [1, 2, 32])
def test_equal_gains_go_to_the_lowest_row_and_none_is_taken_twice(
    monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    monkeypatch.setattr(greedy_batchers, "_LOOK", look)
    gains = np.array([1.0, 3.0, 3.0, 2.0, 0.0])
    taken: list[int] = []

    def now(rows: NDArray[np.int64]) -> Points:
        left: Points = np.maximum(gains[rows] - len(taken), 0.0)
        return left

    rows = lazy_greedy(gains, 5, now, taken.append)

    assert rows.tolist() == taken == [1, 2, 0, 3, 4]
