import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from fedask.client.learning.scorers.density import (
    center_distance,
    coverage,
    information_density,
    scale_of,
    typicality,
)
from fedask.client.learning.scorers.row_blocks import Reals, Scores
from fedask.common.errors import ConfigError, DataError

# scikit-learn user guide, section 1.6.1, "Finding the nearest neighbors": the distances
# to the nearest other point are 1, 1, sqrt 2, 1, 1, sqrt 2.
GUIDE = np.array(
    [[-1, -1], [-2, -1], [-3, -2], [1, 1], [2, 1], [3, 2]], dtype=np.float32
)
NEAREST = [1, 1, math.sqrt(2), 1, 1, math.sqrt(2)]


def cloud(n: int, d: int, seed: int) -> Reals:
    return np.random.default_rng(seed).normal(0, 2, (n, d)).astype(np.float32)


def apart(scores: Scores, scale: float) -> Reals:
    """Undo ``x / (1 + x)`` of ``x = distance / scale``."""
    exact = scores.astype(np.float64)
    return scale * exact / (1 - exact)


def close(scores: Scores, scale: float) -> Reals:
    """Undo ``scale / (scale + distance)``."""
    return scale / scores.astype(np.float64) - scale


def all_distances(features: Reals, points: Reals) -> list[list[float]]:
    rows = points.astype(np.float64).tolist()
    return [
        [math.dist(x, s) for s in rows] for x in features.astype(np.float64).tolist()
    ]


def slow_typicality(row: list[float], scale: float, k: int) -> float:
    near = sorted(row)
    near = near[1:] if near[0] == 0 else near[:-1]
    return scale / (scale + sum(near[:k]) / len(near[:k]))


def test_the_scale_is_the_median_of_scikit_learns_distances() -> None:
    assert scale_of(GUIDE) == pytest.approx(1.0, rel=1e-6)
    assert scale_of(3 * GUIDE[1:4]) == pytest.approx(3 * math.sqrt(2), rel=1e-6)


def test_the_scale_equals_a_slow_reference() -> None:
    sample = cloud(300, 6, 0)

    rows = all_distances(sample, sample)

    nearest = sorted(min(x for x in row if x > 0) for row in rows)
    assert scale_of(sample) == pytest.approx(
        (nearest[149] + nearest[150]) / 2, rel=1e-6
    )


def test_duplicates_do_not_pull_the_scale_to_zero() -> None:
    assert scale_of(np.repeat(GUIDE, 5, axis=0)) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_without_two_different_rows_the_scale_is_one(rows: int) -> None:
    assert scale_of(np.full((rows, 2), 7.0)) == 1.0


@pytest.mark.parametrize("d", [1, 2, 16, 200])
@pytest.mark.parametrize("k", [1, 5, 20, 1000])
def test_typicality_equals_a_slow_reference(d: int, k: int) -> None:
    sample, features = (
        cloud(60, d, 0),
        np.concatenate([cloud(40, d, 0), cloud(40, d, 1)]),
    )
    scale = scale_of(sample)

    scores = typicality(features, sample, scale, k)

    rows = all_distances(features, sample)
    expected = [slow_typicality(row, scale, k) for row in rows]
    np.testing.assert_allclose(scores, expected, atol=5e-5)


def test_scikit_learns_distances_come_out_of_typicality() -> None:
    scores = typicality(GUIDE, GUIDE, scale=2.0, neighbours=1)

    np.testing.assert_allclose(close(scores, 2.0), NEAREST, rtol=1e-6)


def test_a_row_scores_the_same_in_the_sample_or_beside_it() -> None:
    row, others = GUIDE[:1], GUIDE[1:]

    drawn = typicality(row, GUIDE, 1.0, 3)
    left_out = typicality(row, others, 1.0, 3)

    assert drawn[0] == pytest.approx(left_out[0], abs=1e-6)


def test_the_middle_of_a_cluster_is_most_typical() -> None:
    sample = np.concatenate([cloud(100, 3, 0), 50 + 4 * cloud(20, 3, 1)])
    features = np.array([[0, 0, 0], [50, 50, 50], [25, 25, 25]], dtype=np.float32)

    dense, loose, empty = typicality(features, sample, scale_of(sample))

    assert dense > loose > empty


@pytest.mark.parametrize("rows", [0, 1])
def test_typicality_needs_a_sample(rows: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 2 rows, got {rows}"):
        typicality(GUIDE, GUIDE[:rows], 1.0)


def test_coverage_by_hand() -> None:
    # On a line; a label at 0 covers up to 1. Uncovered of the five: 2, 3 and 10.
    sample = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    features = np.array([[0.0], [1.0], [2.0], [2.5], [9.0], [20.0]])

    scores = coverage(features, sample, np.array([[0.0]]), radius=1.0)

    np.testing.assert_allclose(scores, [0, 0.2, 0.4, 0.4, 0.2, 0], rtol=1e-7)


@pytest.mark.parametrize("d", [1, 2, 16])
def test_coverage_equals_a_slow_reference(d: int) -> None:
    sample, features, labelled = cloud(60, d, 0), cloud(80, d, 1), cloud(7, d, 2)
    radius = 1.3 * scale_of(sample)

    scores = coverage(features, sample, labelled, radius)

    open_ = [min(row) > radius for row in all_distances(sample, labelled)]
    expected = [
        sum(x <= radius and o for x, o in zip(row, open_, strict=True)) / 60
        for row in all_distances(features, sample)
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-7)


def test_without_labels_everything_is_uncovered() -> None:
    scores = coverage(GUIDE, GUIDE, GUIDE[:0], radius=1.2)

    np.testing.assert_allclose(scores, np.array([2, 2, 1, 2, 2, 1]) / 6, rtol=1e-6)


def test_a_covered_pool_has_nothing_to_gain() -> None:
    assert coverage(GUIDE, GUIDE, GUIDE[[0, 4]], radius=3.0).tolist() == [0.0] * 6
    assert coverage(GUIDE, GUIDE[:0], GUIDE, radius=3.0).tolist() == [0.0] * 6


def test_a_label_never_raises_the_coverage_left() -> None:
    sample, features = cloud(60, 2, 0), cloud(50, 2, 1)

    before = coverage(features, sample, sample[:3], 1.0)
    after = coverage(features, sample, sample[:4], 1.0)

    assert (after <= before).all()
    assert (after < before).any()


@pytest.mark.parametrize("d", [1, 2, 16, 200])
def test_center_distance_equals_a_slow_reference(d: int) -> None:
    features, labelled = cloud(80, d, 0), cloud(9, d, 1)
    scale = scale_of(features)

    scores = center_distance(features, labelled, scale)

    x = np.array([min(row) for row in all_distances(features, labelled)]) / scale
    np.testing.assert_allclose(scores, x / (1 + x), atol=5e-5)


def test_scikit_learns_distances_come_out_of_center_distance() -> None:
    for row, expected in enumerate(NEAREST):
        others = np.delete(GUIDE, row, axis=0)
        scores = center_distance(GUIDE[row : row + 1], others, scale=2.0)

        assert apart(scores, 2.0)[0] == pytest.approx(expected, rel=1e-6)


def test_a_labelled_sample_is_exactly_zero_from_a_center() -> None:
    features = cloud(50, 30, 0)

    scores = center_distance(features, features[10:20], scale_of(features))

    assert scores[10:20].tolist() == [0.0] * 10
    assert np.delete(scores, slice(10, 20)).min() > 0.1


def test_everything_is_far_from_no_center() -> None:
    assert center_distance(GUIDE, GUIDE[:0], 1.0).tolist() == [1.0] * 6


def test_one_center_of_many_far_samples_keeps_their_order() -> None:
    # A single label has no spread of its own to measure with.
    features = np.arange(60, dtype=np.float32)[:, None]

    scores = center_distance(features, features[:1], scale=1.0)

    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("d", [2, 16, 200])
@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_information_density_equals_a_slow_reference(d: int, beta: float) -> None:
    sample, features = cloud(60, d, 0), cloud(40, d, 1)
    sample[3] = 0

    scores = information_density(features, sample, beta)

    expected = []
    for x in features.astype(np.float64).tolist():
        cosines = [
            sum(a * b for a, b in zip(x, s, strict=True))
            / (math.hypot(*x) * (math.hypot(*s) or 1.0))
            for s in sample.astype(np.float64).tolist()
        ]
        expected.append(((1 + sum(cosines) / 60) / 2) ** beta)
    np.testing.assert_allclose(scores, expected, atol=1e-7)


def test_scikit_learns_cosines_come_out() -> None:
    # Documentation of sklearn.metrics.pairwise.cosine_similarity, two decimals: the
    # cosines of (0, 0, 0) are 0 and 0, those of (1, 1, 1) are 0.57 and 0.81.
    sample = np.array([[1, 0, 0], [1, 1, 0]], dtype=np.float32)
    features = np.array([[0, 0, 0], [1, 1, 1]], dtype=np.float32)

    means = 2 * information_density(features, sample) - 1

    assert means[0] == 0.0
    assert means[1] == pytest.approx((0.57 + 0.81) / 2, abs=0.01)
    assert means[1] == pytest.approx(
        (1 / math.sqrt(3) + 2 / math.sqrt(6)) / 2, abs=1e-6
    )


def test_the_opposite_direction_has_no_density() -> None:
    sample = np.array([[2, 0]], dtype=np.float32)
    features = np.array([[-3, 0], [5, 0], [0, 1]], dtype=np.float32)

    assert information_density(features, sample).tolist() == [0.0, 1.0, 0.5]


def test_a_full_sample_needs_a_few_mebibytes() -> None:
    sample, features = cloud(2048, 16, 0), cloud(3000, 16, 1)
    scale = scale_of(sample)

    def peak(score: Callable[[], Scores]) -> int:
        tracemalloc.start()
        try:
            score()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(lambda: typicality(features, sample, scale)) < 5 * 2**20
    assert peak(lambda: coverage(features, sample, sample[:9], scale)) < 5 * 2**20
    assert peak(lambda: center_distance(features, sample, scale)) < 5 * 2**20
    assert peak(lambda: information_density(features, sample)) < 2**20


def test_samples_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs a sample with 2 columns"):
        information_density(GUIDE, GUIDE[:0])
    with pytest.raises(ConfigError, match=r"needs a sample with 2 columns"):
        information_density(GUIDE, np.ones((4, 3)))
    with pytest.raises(DataError, match="row 1 of the reference features is NaN"):
        center_distance(GUIDE, np.array([[0, 0], [np.nan, 0]]), 1.0)
