from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.candidates import Points, picks, shortlist

from fedask.client.base.distance import DistanceBlock
from fedask.client.learning.batchers import k_center
from fedask.client.learning.batchers.k_center import KCenter, farthest_first


def slow_farthest_first(points: Points, anchors: Points, k: int) -> list[int]:
    rows: list[int] = []
    while len(rows) < k:
        covered = np.concatenate([anchors, points[rows]])
        distance = ((points[:, None] - covered) ** 2).sum(axis=2).min(axis=1)
        distance[rows] = -1.0
        rows.append(int(distance.argmax()))
    return rows


def mixture(n: int, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    corners = 6 * rng.normal(size=(8, 5))
    points: Points = corners[rng.integers(0, 8, n)] + rng.normal(size=(n, 5))
    return points


@pytest.mark.parametrize("front", [1, 3, 16, 1024])
@pytest.mark.parametrize("seed", range(4))
def test_the_lazy_way_picks_what_the_obvious_way_picks(
    monkeypatch: pytest.MonkeyPatch, front: int, seed: int
) -> None:
    monkeypatch.setattr(k_center, "_FRONT", front)
    points = mixture(120, seed)

    rows = farthest_first(points[5:], points[:5], 60)

    assert rows.tolist() == slow_farthest_first(points[5:], points[:5], 60)


@pytest.mark.parametrize("front", [1, 2, 7, 1024])
@pytest.mark.parametrize("seed", range(6))
def test_ties_go_to_the_lowest_row(
    monkeypatch: pytest.MonkeyPatch, front: int, seed: int
) -> None:
    # Small whole numbers: many copies, and many distances exactly equal.
    monkeypatch.setattr(k_center, "_FRONT", front)
    points = np.random.default_rng(seed).integers(0, 3, (40, 2)).astype(np.float64)

    rows = farthest_first(points, points[:1], 40)

    assert rows.tolist() == slow_farthest_first(points, points[:1], 40)


@pytest.mark.parametrize("seed", range(3))
def test_single_precision_input_is_measured_in_double(seed: int) -> None:
    # An offset of 1000: in float32 the distances would have two digits left.
    points = (mixture(300, seed) + 1000).astype(np.float32)

    rows = farthest_first(points[20:], points[:20], 100)

    wide = points.astype(np.float64)
    assert rows.tolist() == slow_farthest_first(wide[20:], wide[:20], 100)


def test_without_anchors_the_best_score_is_first() -> None:
    scores = np.array([0.1, 0.2, 0.9, 0.3], np.float32)
    given = shortlist([[0.0], [4.0], [3.0], [10.0]], scores=scores)

    assert picks(KCenter(), given, 1) == [2]
    assert picks(KCenter(), given, 2) == [2, 3]
    assert picks(KCenter(), given, 3) == [0, 2, 3]


def test_anchors_count_as_asked() -> None:
    anchors = np.array([[10.0], [0.5]], np.float32)

    given = shortlist([[0.0], [4.0], [3.0], [10.0]], anchors=anchors)

    assert picks(KCenter(), given, 1) == [1]
    assert picks(KCenter(), given, 2) == [1, 2]  # 1 from row 1, row 0 0.5 from anchor
    assert picks(KCenter(), given, 3) == [0, 1, 2]


def radius(points: Points, rows: tuple[int, ...]) -> float:
    distances = ((points[:, None] - points[list(rows)]) ** 2).sum(axis=2)
    return float(np.sqrt(distances.min(axis=1).max()))


@pytest.mark.parametrize("seed", range(20))
def test_the_radius_is_within_twice_the_best(seed: int) -> None:
    # Gonzalez 1985: no polynomial algorithm does better unless P = NP.
    points = np.random.default_rng(seed).normal(size=(11, 2)).round(2)

    rows = picks(KCenter(), shortlist(points), 3)

    best = min(radius(points, some) for some in combinations(range(11), 3))
    assert radius(points, tuple(rows)) <= 2 * best + 1e-6


def test_few_distances_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    plain = DistanceBlock.gaps

    def counted(self: DistanceBlock, others: DistanceBlock) -> NDArray[np.float64]:
        nonlocal measured
        measured += len(self) * len(others)
        return plain(self, others)

    monkeypatch.setattr(DistanceBlock, "gaps", counted)
    points = np.random.default_rng(0).normal(size=(20_000, 32)).astype(np.float32)

    farthest_first(points[10:], points[:10], 200)

    # All of them: 10 + 199 for each row. The anchors' are always measured.
    assert measured < 0.15 * 20_000 * 209
