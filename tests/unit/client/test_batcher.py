import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.batchers.batcher import Shortlist
from fedask.client.batchers.cluster import Cluster, kmeans, spread
from fedask.client.batchers.kmeanspp import KmeansPlusPlus, residuals
from fedask.client.batchers.top import Top

Points = NDArray[np.float64]


class Draws(np.random.Generator):
    """A generator whose uniform numbers are given."""

    def __init__(self, *values: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._values = list(values)

    @override
    def random(self) -> float:  # type: ignore[override]
        return self._values.pop(0)


def softmax(logits: Points) -> NDArray[np.float32]:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.float32] = (exp / exp.sum(axis=1, keepdims=True)).astype("f4")
    return probs


def shortlist(features: Points, probs: NDArray[np.float32] | None = None) -> Shortlist:
    n = len(features)
    if probs is None:
        probs = np.full((n, 2), 0.5, np.float32)
    return Shortlist(
        scores=np.linspace(1, 0, n, dtype=np.float32),
        accepted=np.zeros(n, np.bool_),
        features=features.astype(np.float32),
        probs=probs,
    )


def test_top_returns_the_accepted_rows() -> None:
    accepted = np.array([True, False, True, False, False, True])
    given = shortlist(np.zeros((6, 0)))
    given = Shortlist(given.scores, accepted, given.features, given.probs)

    def rows(k: int) -> list[int]:
        picked: list[int] = Top().pick(given, k, np.random.default_rng(0)).tolist()
        return picked

    assert rows(3) == [0, 2, 5]
    assert rows(2) == [0, 2]
    assert rows(5) == [0, 1, 2, 3, 5]  # then the best of the rest


def well_separated(k: int, per_cluster: int, seed: int) -> tuple[Points, Points]:
    """Return points around k corners, mixed, and the corner of each."""
    rng = np.random.default_rng(seed)
    corner = rng.permutation(np.repeat(np.arange(k), per_cluster))
    points = np.eye(k)[corner] * 1000 + rng.normal(size=(k * per_cluster, k))
    return points, corner


@pytest.mark.parametrize("k", [2, 5, 12])
@pytest.mark.parametrize("seed", range(5))
def test_each_of_separate_clusters_gives_its_best_score(k: int, seed: int) -> None:
    points, corner = well_separated(k, 7, seed)

    rows = Cluster().pick(shortlist(points), k, np.random.default_rng(seed))

    best = [int(np.flatnonzero(corner == c)[0]) for c in range(k)]
    assert rows.tolist() == sorted(best)


def test_room_of_empty_clusters_goes_to_the_best_of_the_rest() -> None:
    points = np.array([[0.0]] * 5 + [[9.0]] * 5)

    rows = Cluster().pick(shortlist(points), 4, np.random.default_rng(0))

    assert rows.tolist() == [0, 1, 2, 5]


def test_kmeans_ends_where_every_point_is_with_its_nearest_mean() -> None:
    points = np.random.default_rng(0).normal(size=(60, 2))
    points[:30] += 6

    cluster = kmeans(points, 4, np.random.default_rng(1))

    means = np.stack([points[cluster == c].mean(axis=0) for c in range(4)])
    distances = ((points[:, None] - means) ** 2).sum(axis=2)
    assert np.array_equal(distances.argmin(axis=1), cluster)


def test_seeding_draws_in_proportion_to_the_squared_distance() -> None:
    points = np.array([[0.0], [1.0], [3.0]])  # from row 0: squared distances 1 and 9

    draws = [spread(points, 2, np.random.default_rng(seed))[1] for seed in range(2000)]

    # 2000 draws of probability 0.1 have a standard deviation of 0.0067.
    assert np.mean(np.array(draws) == 1) == pytest.approx(0.1, abs=0.027)


def test_seeding_stops_when_all_points_are_chosen() -> None:
    points = np.array([[0.0], [1.0], [0.0], [1.0]])

    assert sorted(spread(points, 4, np.random.default_rng(0)).tolist()) in (
        [0, 1],
        [0, 3],
    )


def gradients(probs: NDArray[np.float32], features: Points) -> Points:
    """Return the (n, c * d) gradients of the last layer at the predicted class."""
    rows = []
    for p, h in zip(probs.astype(np.float64), features, strict=True):
        a = p.copy()
        a[p.argmax()] -= 1.0
        rows.append(np.outer(a, h).ravel())
    return np.array(rows)


def slow_kmeanspp(points: Points, k: int, rng: np.random.Generator) -> list[int]:
    chosen = [int((points**2).sum(axis=1).argmax())]
    while len(chosen) < k:
        to_chosen = ((points[:, None] - points[chosen]) ** 2).sum(axis=2)
        distance = to_chosen.min(axis=1)
        distance[chosen] = 0.0
        reach = np.cumsum(distance)
        draw = rng.random() * reach[-1]
        chosen.append(int(np.searchsorted(reach, draw, side="right")))
    return sorted(chosen)


@pytest.mark.parametrize("seed", range(20))
def test_factored_distances_pick_what_explicit_gradients_pick(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 8)).astype(np.float32).astype(np.float64)
    probs = softmax(rng.normal(size=(40, 5)))

    rows = KmeansPlusPlus().pick(
        shortlist(features, probs), 12, np.random.default_rng(seed)
    )

    explicit = gradients(probs, features)
    assert rows.tolist() == slow_kmeanspp(explicit, 12, np.random.default_rng(seed))


def test_factored_inner_products_are_those_of_the_gradients() -> None:
    rng = np.random.default_rng(0)
    features, probs = rng.normal(size=(9, 4)), softmax(rng.normal(size=(9, 3)))

    a = residuals(probs)

    explicit = gradients(probs, features)
    factored = (a @ a.T) * (features @ features.T)
    # Both are float64 sums of a dozen terms of order one.
    np.testing.assert_allclose(factored, explicit @ explicit.T, atol=1e-13)


def test_residuals_subtract_the_one_hot_of_the_prediction() -> None:
    probs = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], dtype=np.float32)

    assert residuals(probs).tolist() == [[0.25, -0.25], [0, 0], [-0.5, 0.5]]


def test_a_certain_sample_has_the_smaller_gradient() -> None:
    # small-text leaves out the one-hot: norm 1.73 for a 99.9 % certain sample, 1.00
    # for an uncertain one.
    probs = np.array(
        [[0.999, 0.0005, 0.0005], [0.334, 0.333, 0.333], [1, 0, 0]], dtype=np.float32
    )

    norms = np.linalg.norm(residuals(probs), axis=1)

    assert norms[0] < 0.002
    assert norms[1] > 0.8
    assert norms[2] == 0.0
    rows = KmeansPlusPlus().pick(
        shortlist(np.ones((3, 4)), probs), 1, np.random.default_rng(0)
    )
    assert rows.tolist() == [1]


def test_the_origin_is_no_ghost_centre() -> None:
    # scikit-activeml 1.0.1 measures distances from the origin too. Row 2 is chosen
    # first; row 0 is nearer to the origin than to row 2, row 1 nearer to row 2.
    features = np.array([[0.5, 0.0], [1.5, 0.0], [2.0, 0.0]])
    squares = np.array([1.5**2, 0.5**2]) / np.array([1.5**2, 0.5**2]).sum()

    just_below = KmeansPlusPlus().pick(shortlist(features), 2, Draws(squares[0] - 1e-6))
    just_above = KmeansPlusPlus().pick(shortlist(features), 2, Draws(squares[0] + 1e-6))

    assert just_below.tolist() == [0, 2]
    assert just_above.tolist() == [1, 2]


@pytest.mark.parametrize("draw", [0.0, 1.0 - 2.0**-53])
def test_the_ends_of_the_draw_choose_a_free_row(draw: float) -> None:
    features = np.array([[2.0, 0.0], [2.0, 0.0], [1.0, 0.0], [2.0, 0.0]])

    rows = KmeansPlusPlus().pick(shortlist(features), 3, Draws(draw, draw))

    assert len(set(rows.tolist())) == 3
