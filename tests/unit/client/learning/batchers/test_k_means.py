import numpy as np
import pytest
from tests.support.client.candidates import Points, picks, shortlist

from fedask.client.base import distance
from fedask.client.learning.batchers.clustering import (
    Cluster,
    ClusterMargin,
    Logo,
    in_turn,
    kmeans,
)
from fedask.client.learning.batchers.k_means_plus_plus import spread


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

    rows = picks(Cluster(), shortlist(points), k, seed)

    assert rows == sorted(int(np.flatnonzero(corner == c)[0]) for c in range(k))


def test_the_best_of_a_cluster_is_its_best_score_not_its_first_row() -> None:
    scores = np.array([0.1, 0.2, 0.9, 0.7, 0.8, 0.3], np.float32)
    points = np.array([[0.0], [9.0], [0.1], [9.1], [0.0], [9.0]])

    assert picks(Cluster(), shortlist(points, scores=scores), 2) == [2, 3]


def test_room_of_empty_clusters_goes_to_the_best_of_the_rest() -> None:
    points = np.array([[0.0]] * 5 + [[9.0]] * 5)

    assert picks(Cluster(), shortlist(points), 4) == [0, 1, 2, 5]


@pytest.mark.parametrize("cells", [8, 2**18])
def test_kmeans_ends_where_every_point_is_with_its_nearest_mean(
    monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    monkeypatch.setattr(distance, "CELLS", cells)
    points = np.random.default_rng(0).normal(size=(60, 2))
    points[:30] += 6

    cell = kmeans(points, 4, np.random.default_rng(1))

    means = np.stack([points[cell == c].mean(axis=0) for c in range(4)])
    distances = ((points[:, None] - means) ** 2).sum(axis=2)
    assert np.array_equal(distances.argmin(axis=1), cell)


def slow_kmeans(points: Points, centres: Points, passes: int) -> list[int]:
    for _ in range(passes):
        nearest = [int(((p - centres) ** 2).sum(axis=1).argmin()) for p in points]
        for c in set(nearest):
            centres[c] = points[[n == c for n in nearest]].mean(axis=0)
    return [int(((p - centres) ** 2).sum(axis=1).argmin()) for p in points]


@pytest.mark.parametrize("seed", range(20))
def test_kmeans_does_the_passes_of_lloyd(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(50, 2))

    cell = kmeans(points, 25, np.random.default_rng(seed))

    seeds = points[spread(points, 25, np.random.default_rng(seed))]
    assert cell.tolist() == slow_kmeans(points, seeds, passes=9)


def test_equal_points_share_a_cell() -> None:
    points = np.array([[1.0], [4.0], [1.0], [4.0], [1.0]])

    assert kmeans(points, 5, np.random.default_rng(0)).tolist() == [0, 1, 0, 1, 0]


def test_cells_give_one_row_each_in_turn() -> None:
    cell = np.array([0, 0, 0, 2, 2, 1, 0])
    order = np.array([6, 3, 0, 1, 5, 2, 4])

    assert in_turn(cell, order, size_first=False).tolist() == [6, 3, 5, 0, 4, 1, 2]
    assert in_turn(cell, order, size_first=True).tolist() == [5, 3, 6, 4, 0, 1, 2]


def test_the_smallest_cells_give_first() -> None:
    # Cells of 6, 3 and 1 samples; two of them lie far from the rest.
    features = np.array([[0.0, 0.0]] * 6 + [[50.0, 0.0]] * 3 + [[0.0, 90.0]])
    features += np.random.default_rng(0).normal(size=(10, 2)) / 100
    size = np.array([6] * 6 + [3] * 3 + [1])

    def sizes(k: int, seed: int) -> list[int]:
        batcher = ClusterMargin(per_cell=k / 3)
        found: list[int] = size[picks(batcher, shortlist(features), k, seed)].tolist()
        return found

    for seed in range(10):
        assert sizes(1, seed) == [1]
        assert sizes(2, seed) == [3, 1]
        assert sizes(3, seed) == [6, 3, 1]
        assert sizes(4, seed) == [6, 3, 3, 1]
        assert sizes(5, seed) == [6, 6, 3, 3, 1]
        assert sizes(8, seed) == [6, 6, 6, 6, 3, 3, 3, 1]


def test_within_a_cell_every_sample_is_as_likely() -> None:
    given = shortlist(np.zeros((4, 2)))

    rows = [picks(ClusterMargin(), given, 1, seed)[0] for seed in range(2000)]

    # The standard deviation of a share is 0.0097.
    shares = np.bincount(rows, minlength=4) / 2000
    assert shares == pytest.approx([0.25] * 4, abs=0.035)


def test_logo_clusters_by_the_local_model_and_asks_by_the_global_score() -> None:
    points, corner = well_separated(4, 6, seed=0)
    half = np.full((24, 2), 0.5, np.float32)
    given = shortlist(
        np.random.default_rng(0).normal(size=(24, 4)),
        local_features=points.astype(np.float32),
        local_probs=half,
    )

    rows = picks(Logo(), given, 4)

    assert rows == sorted(int(np.flatnonzero(corner == c)[0]) for c in range(4))


def test_logo_scales_the_local_features_by_the_local_doubt() -> None:
    # Far apart, but the local model is sure of the first four: one cluster.
    points = np.array([[100.0], [200.0], [300.0], [400.0], [2.0], [2.0]])
    sure = np.array([[1, 0]] * 4 + [[0.5, 0.5]] * 2, dtype=np.float32)
    given = shortlist(
        points, local_features=points.astype(np.float32), local_probs=sure
    )

    assert picks(Logo(), given, 2) == [0, 4]


def test_logo_fills_a_deficit_from_cluster_to_cluster() -> None:
    points = np.array([[1.0]] * 5 + [[9.0]] * 5)

    assert picks(Logo(), shortlist(points), 4) == [0, 1, 5, 6]


def test_logo_uses_the_current_model_where_there_is_no_local_one() -> None:
    points, _ = well_separated(4, 6, seed=1)
    given = shortlist(points)

    local = shortlist(
        np.zeros((24, 3)), local_features=given.features, local_probs=given.probs
    )

    assert picks(Logo(), given, 4) == picks(Logo(), local, 4)
