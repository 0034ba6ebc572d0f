import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.candidates import (
    Points,
    chi_square,
    picks,
    shortlist,
    softmax,
)

from fedask.client.base.distance import DistanceBlock
from fedask.client.learning.batchers import k_means_plus_plus
from fedask.client.learning.batchers.k_means_plus_plus import (
    KmeansPlusPlus,
    largest,
    residuals,
    spread,
)

DRAWS = 3000
CHI_4, CHI_19 = 18.5, 43.8  # of a true null, one statistic in 1000 is larger
# How dear a draw in vain is thought to be: all distances are brought up to date after
# each of them, now and then, or hardly ever.
PATIENCE = [2**60, 8, 1]


def gradients(probs: NDArray[np.float32], features: Points) -> Points:
    """Return the (n, c * d) gradients of the last layer at the predicted class."""
    rows = []
    for p, h in zip(probs.astype(np.float64), features, strict=True):
        a = p.copy()
        a[p.argmax()] -= 1.0
        rows.append(np.outer(a, h).ravel())
    return np.array(rows)


def to_nearest(points: Points, rows: list[int]) -> Points:
    distances = ((points[:, None] - points[rows]) ** 2).sum(axis=2)
    nearest: Points = distances.min(axis=1)
    return nearest


@pytest.mark.parametrize("patience", PATIENCE)
def test_three_seeds_are_drawn_in_proportion_to_the_squared_distance(
    monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(k_means_plus_plus, "_DRAW", patience)
    points = np.random.default_rng(0).normal(size=(6, 2)).round(1)
    rng = np.random.default_rng(1)

    drawn = [tuple(spread(points, 3, rng, first=2).tolist()) for _ in range(DRAWS)]

    pairs = [(i, j) for i in range(6) for j in range(6) if i != j and 2 not in {i, j}]
    expected = []
    for i, j in pairs:
        first, second = to_nearest(points, [2]), to_nearest(points, [2, i])
        expected.append(first[i] / first.sum() * second[j] / second.sum())
    counts = np.array([drawn.count((2, i, j)) for i, j in pairs])
    assert counts.sum() == DRAWS
    assert chi_square(counts, np.array(expected)) < CHI_19


@pytest.mark.parametrize("patience", PATIENCE)
def test_gradients_are_drawn_in_proportion_to_the_squared_distance(
    monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(k_means_plus_plus, "_DRAW", patience)
    rng = np.random.default_rng(3)
    features, probs = rng.normal(size=(6, 4)), softmax(rng.normal(size=(6, 3)))
    given = shortlist(features, probs)
    explicit = gradients(probs, given.features.astype(np.float64))
    first = int((explicit**2).sum(axis=1).argmax())

    rows = [
        (set(KmeansPlusPlus().pick(given, 2, rng).tolist()) - {first}).pop()
        for _ in range(DRAWS)
    ]

    others = [row for row in range(6) if row != first]
    counts = np.bincount(rows, minlength=6)[others]
    assert chi_square(counts, to_nearest(explicit, [first])[others]) < CHI_4


@pytest.mark.parametrize("seed", range(10))
def test_the_first_pick_is_the_longest_gradient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, probs = rng.normal(size=(40, 8)), softmax(rng.normal(size=(40, 5)))

    rows = picks(KmeansPlusPlus(), shortlist(features, probs), 1, seed)

    assert rows == [int((gradients(probs, features) ** 2).sum(axis=1).argmax())]


def test_of_equally_long_gradients_the_lowest_row_is_first() -> None:
    weights = np.array([[0.1, -0.1], [0.5, -0.5], [0.5, -0.5]], np.float32)

    assert largest(np.ones((3, 2), np.float32), weights) == 1


def test_factored_distances_are_those_of_the_gradients() -> None:
    rng = np.random.default_rng(0)
    features, probs = rng.normal(size=(9, 4)), softmax(rng.normal(size=(9, 3)))
    features[5], probs[5] = features[2], probs[2]

    block = DistanceBlock.of(features, residuals(probs))

    # The weights are float32, their products float64 sums of a dozen terms.
    explicit = gradients(probs, features)
    expected = ((explicit[:, None] - explicit) ** 2).sum(axis=2)
    gaps = block.gaps(block)
    np.testing.assert_allclose(gaps, expected, rtol=1e-6, atol=1e-12)
    assert gaps[5, 2] == gaps[2, 5] == 0.0
    assert (np.diag(gaps) == 0.0).all()


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
    assert picks(KmeansPlusPlus(), shortlist(np.ones((3, 4)), probs), 1) == [1]


@pytest.mark.parametrize("patience", PATIENCE)
def test_the_origin_is_no_ghost_centre(
    monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    # scikit-activeml 1.0.1 measures distances from the origin too. Row 2 is chosen
    # first; row 0 is nearer to the origin than to row 2, row 1 nearer to row 2.
    monkeypatch.setattr(k_means_plus_plus, "_DRAW", patience)
    features = np.array([[0.5, 0.0], [1.5, 0.0], [2.0, 0.0]])
    rng = np.random.default_rng(0)

    rows = [
        int(KmeansPlusPlus().pick(shortlist(features), 2, rng)[0]) for _ in range(DRAWS)
    ]

    # 0.9 of squared distances 1.5 ** 2 and 0.5 ** 2; the deviation is 0.0055.
    assert np.mean(np.array(rows) == 0) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("patience", [2**60, 64])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_copies_come_only_when_nothing_else_is_left(
    monkeypatch: pytest.MonkeyPatch, patience: int, offset: float
) -> None:
    monkeypatch.setattr(k_means_plus_plus, "_DRAW", patience)
    few = np.random.default_rng(0).normal(size=(5, 16)) + offset
    of = np.random.default_rng(1).integers(0, 5, 60)
    given = shortlist(
        few[of], softmax(np.random.default_rng(2).normal(size=(5, 3)))[of]
    )

    for seed in range(20):
        rows = picks(KmeansPlusPlus(), given, 5, seed)
        assert sorted(of[rows].tolist()) == [0, 1, 2, 3, 4]
        # Then the best scores of the rest.
        free = [row for row in range(60) if row not in rows][:2]
        assert picks(KmeansPlusPlus(), given, 7, seed) == sorted(rows + free)


def test_seeding_stops_when_all_points_are_chosen() -> None:
    points = np.array([[0.0], [1.0], [0.0], [1.0]])

    assert sorted(spread(points, 4, np.random.default_rng(0)).tolist()) in (
        [0, 1],
        [0, 3],
    )


@pytest.mark.parametrize("k", [5, 30, 119])
def test_seeds_are_as_well_spread_as_those_of_the_obvious_way(k: int) -> None:
    rng = np.random.default_rng(0)
    corner = np.arange(120) % 20
    points = rng.normal(size=(120, 3)) + 8 * rng.normal(size=(20, 3))[corner]

    def obvious(seed: int) -> list[int]:
        draws, rows = np.random.default_rng(seed), [0]
        while len(rows) < k:
            distance = to_nearest(points, rows)
            rows.append(int(draws.choice(120, p=distance / distance.sum())))
        return rows

    def ours(seed: int) -> list[int]:
        drawn = spread(points, k, np.random.default_rng(seed))
        return [int(row) for row in drawn]

    here = [to_nearest(points, ours(seed)).sum() for seed in range(30)]
    there = [to_nearest(points, obvious(seed)).sum() for seed in range(30)]
    pooled = np.sqrt((np.var(here, ddof=1) + np.var(there, ddof=1)) / 30)
    assert abs(np.mean(here) - np.mean(there)) < 4 * pooled
