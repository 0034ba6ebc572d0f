import numpy as np
import pytest
from tests.support.client.candidates import Points, picks, shortlist

from fedask.client.base import distance
from fedask.client.learning.batchers.deduplication import Distinct, distinct
from fedask.client.learning.batchers.score_batchers import Top
from fedask.common.errors import ConfigError


def cosine(a: Points, b: Points) -> float:
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths > 0.0 else 0.0


def slow_distinct(points: Points, anchors: Points, similarity: float) -> list[int]:
    kept: list[int] = []
    for row, point in enumerate(points):
        others = [*anchors, *points[kept]]
        if all(cosine(point, other) <= similarity for other in others):
            kept.append(row)
    return kept


@pytest.mark.parametrize("cells", [16, 2**18])
@pytest.mark.parametrize("similarity", [0.2, 0.7, 0.95])
def test_what_resembles_a_better_row_or_an_anchor_is_left_out(
    monkeypatch: pytest.MonkeyPatch, cells: int, similarity: float
) -> None:
    monkeypatch.setattr(distance, "CELLS", cells)
    points = np.random.default_rng(0).normal(size=(80, 3))
    given = shortlist(points[5:], anchors=points[:5].astype(np.float32))

    rows = distinct(given, similarity).tolist()

    assert rows == slow_distinct(points[5:], points[:5], similarity)
    assert len(rows) < 75


def test_the_better_of_two_copies_is_kept() -> None:
    scores = np.array([0.2, 0.9, 0.5, 0.6], np.float32)
    features = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]

    rows = distinct(shortlist(features, scores=scores), 0.99)

    assert rows.tolist() == [1, 3]


def test_what_only_resembles_a_row_left_out_is_kept() -> None:
    angles = np.radians([0, 10, 20])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    assert distinct(shortlist(features), np.cos(np.radians(15))).tolist() == [0, 2]


@pytest.mark.parametrize("length", [1e-20, 1.0, 3e15])
def test_copies_are_alike_at_a_similarity_of_one(length: float) -> None:
    x = np.random.default_rng(0).normal(size=(6, 50)) * length

    given = shortlist(np.concatenate([x, 2 * x]), anchors=x[:2].astype(np.float32))

    assert distinct(given, 1.0).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("similarity", [-0.5, 0.0, 1.01, float("nan")])
def test_a_similarity_out_of_range_is_refused(similarity: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and at most 1"):
        Distinct(Top(), similarity)


def test_zeros_have_no_direction_and_are_kept() -> None:
    assert distinct(shortlist(np.zeros((4, 2))), 0.5).tolist() == [0, 1, 2, 3]


def test_the_best_of_what_was_left_out_fills_up() -> None:
    scores = np.array([0.3, 0.9, 0.5, 0.6, 0.1], np.float32)
    given = shortlist(np.ones((5, 2)), scores=scores)

    assert distinct(given, 0.9).tolist() == [1]
    assert distinct(given, 0.9, 3).tolist() == [1, 2, 3]
    assert picks(Distinct(Top()), given, 4) == [0, 1, 2, 3]


def test_the_inner_batcher_sees_what_is_kept() -> None:
    features = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0], [1.0, 1.0]]

    assert picks(Distinct(Top()), shortlist(features), 3) == [0, 2, 4]
    assert picks(Distinct(Top(), similarity=1.0), shortlist(features), 3) == [0, 1, 2]
    assert Distinct(Top()).needs == {"features", "anchors"}
