import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedask.client.base.distance import fix, squared_distances
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError


def distances(features: Reals, points: Reals, reach: float = 0.0) -> Reals:
    fixed = fix(points, reach)
    parts = [squares for _, squares in squared_distances(features, fixed)]
    return np.sqrt(np.concatenate(parts)) * fixed.step


def slow(features: Reals, points: Reals) -> NDArray[np.float64]:
    rows = features.astype(np.float64).tolist()
    return np.array(
        [[math.dist(x, s) for s in points.astype(np.float64).tolist()] for x in rows]
    )


@pytest.mark.parametrize("d", [1, 2, 7, 128, 1000])
def test_distances_equal_a_slow_reference(d: int) -> None:
    rng = np.random.default_rng(0)
    features, points = rng.normal(size=(30, d)), rng.normal(size=(20, d))

    found = distances(features, points)

    # A coordinate loses at most half a step: of 8 spreads over 2**25 for d = 1, and a
    # root of d times as much for more.
    np.testing.assert_allclose(found, slow(features, points), atol=2e-6 * d)


def test_an_offset_costs_no_precision() -> None:
    # In float32 products, features around 1000 leave nothing of a distance of 0.01.
    rng = np.random.default_rng(0)
    points = 1000 + rng.normal(0, 0.01, (20, 8))

    np.testing.assert_allclose(
        distances(points, points), slow(points, points), atol=1e-7
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_rows_are_exactly_nowhere_apart(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    points: Reals = rng.normal(100, 3, (40, 50)).astype(dtype)

    found = distances(points, points)

    assert np.array_equal(np.diag(found), np.zeros(40))
    assert (found + np.eye(40) > 0).all()


@given(
    st.integers(1, 300),
    st.floats(0, 1e8),
    st.floats(1e-6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_squares_are_whole_never_negative_and_below_two_to_the_53(
    d: int, offset: float, spread: float, strange: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = offset + rng.normal(0, spread, (5, d))
    features = offset + rng.standard_cauchy((20, d)) * strange

    for _, squares in squared_distances(features, fix(points)):
        assert (squares >= 0).all()
        assert (squares <= 2.0**53).all()
        assert np.array_equal(squares, np.rint(squares))


def test_the_furthest_corner_is_still_counted_exactly() -> None:
    # All coordinates at the clip of the lattice, on one side, points on the other.
    points = np.stack([np.full(64, -1.0), np.full(64, 1.0)])
    fixed = fix(points)
    far = np.full((1, 64), 1e30)

    squares = next(squared_distances(far, fixed))[1]

    exact = [
        sum((int(fixed.limit) - int(s)) ** 2 for s in row)
        for row in fixed.whole.tolist()
    ]
    assert [int(s) for s in squares[0]] == exact


def test_points_without_spread_still_tell_the_reach_apart() -> None:
    points = np.array([[5.0, 5.0]])
    features = np.array([[5.0, 5.0], [5.0, 5.3], [9.0, 2.0], [1e9, 5.0]])

    found = distances(features, points, reach=0.3)

    np.testing.assert_allclose(found[:3, 0], [0.0, 0.3, 5.0], atol=1e-5)
    assert found[3, 0] == pytest.approx(64 * 0.3)  # as far as the lattice reaches


def test_points_that_are_all_the_same_are_fine() -> None:
    assert distances(np.ones((3, 2)), np.ones((4, 2))).tolist() == [[0.0] * 4] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_no_number_is_nan_and_spares_the_others(bad: float) -> None:
    features = np.ones((700, 3))
    features[600, 1] = bad

    found = distances(features, np.zeros((2, 3)), reach=1.0)

    assert np.isnan(found[600]).all()
    np.testing.assert_allclose(np.delete(found, 600, axis=0), math.sqrt(3), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_reference_points_that_are_no_numbers_are_refused(bad: float) -> None:
    points = np.ones((4, 2))
    points[2, 0] = bad

    with pytest.raises(DataError, match="row 2 of the reference features is NaN"):
        fix(points)


def test_features_of_another_model_are_refused() -> None:
    with pytest.raises(ConfigError, match="have 3 columns, the reference has 2"):
        next(squared_distances(np.ones((1, 3)), fix(np.ones((4, 2)))))
