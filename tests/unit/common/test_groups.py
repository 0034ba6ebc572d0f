"""Groups by centres: exact sums, k-means that converges, and what is refused."""

import numpy as np
import pytest

from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.groups import (
    DIMENSIONS,
    FEWEST,
    LARGEST,
    Grouping,
    check_sums,
    from_wire,
    known_of,
    to_wire,
)
from fedask.common.sections import AskConfig

CELLS = AskConfig(groups="cells", cells=5)
PROTOTYPES = AskConfig(groups="prototype")


def blobs(
    count: int, each: int, seed: int = 0
) -> tuple[
    np.ndarray[tuple[int, int], np.dtype[np.float32]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
]:
    """Features in as many directions, and which is whose."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(count, 24))
    truth = np.repeat(np.arange(count), each)
    noise = 0.1 * rng.normal(size=(len(truth), 24))
    return (middles[truth] + noise).astype(np.float32), truth


def test_points_do_not_depend_on_order_or_length() -> None:
    features, _ = blobs(4, 10)
    grouping = Grouping(CELLS, 3, seed=1)
    order = np.random.default_rng(2).permutation(len(features))

    points = grouping.project(features)

    assert points.shape == (40, DIMENSIONS)
    assert np.array_equal(grouping.project(features[order]), points[order])
    assert np.array_equal(grouping.project(features * 4), points)
    assert np.array_equal(Grouping(CELLS, 3, seed=1).project(features), points)
    assert not np.array_equal(Grouping(CELLS, 3, seed=2).project(features), points)


def test_angles_survive_the_projection() -> None:
    features, truth = blobs(6, 20)
    points = Grouping(CELLS, 3, seed=0).project(features).astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)

    near = points @ points.T

    same = truth[:, None] == truth[None, :]
    assert near[same].min() > near[~same].max()


def test_sums_add_in_any_order_and_equal_a_slow_sum() -> None:
    features, truth = blobs(5, 8)
    grouping = Grouping(CELLS, 3, seed=0)
    points = grouping.project(features)

    whole = grouping.tally(points, truth)
    parts = [
        grouping.tally(points[truth % 2 == r], truth[truth % 2 == r]) for r in (1, 0)
    ]

    assert np.array_equal(parts[0] + parts[1], whole)
    for group in range(5):
        rows = [points[i] for i in range(len(truth)) if truth[i] == group]
        assert whole[group].tolist() == [*sum(rows).tolist(), len(rows)]


def test_a_group_of_too_few_samples_is_not_told() -> None:
    features, _ = blobs(1, 10)
    grouping = Grouping(CELLS, 3, seed=0)
    groups = np.array([0] * FEWEST + [1] * (FEWEST - 1) + [2] * (11 - 2 * FEWEST))

    total = grouping.tally(grouping.project(features), groups)

    assert total[:, -1].tolist() == [FEWEST, 0, 11 - 2 * FEWEST, 0, 0]
    assert not total[1].any()


def test_cells_find_the_clusters_of_the_fleet() -> None:
    # The first step starts from a poor guess: everything in two of five cells.
    features, truth = blobs(5, 30)
    grouping = Grouping(CELLS, 3, seed=0)
    points = grouping.project(features)
    groups = truth % 2
    centres = None
    for _ in range(12):
        centres = grouping.move(centres, grouping.tally(points, groups))
        assert centres is not None
        groups = grouping.assign(points, centres)

    pairs = {(int(a), int(b)) for a, b in zip(truth, groups, strict=True)}
    assert len(pairs) == 5  # one cell for each, and none for two


def test_a_prototype_is_the_mean_direction_of_a_class() -> None:
    features, truth = blobs(3, 10)
    grouping = Grouping(PROTOTYPES, 4, seed=0)
    points = grouping.project(features)

    centres = grouping.move(None, grouping.tally(points, truth))

    assert centres is not None
    assert known_of(centres).tolist() == [True, True, True, False]
    for group in range(3):
        mean = points[truth == group].mean(axis=0)
        assert np.allclose(centres[group], mean / np.linalg.norm(mean), atol=1e-3)
    assert np.array_equal(grouping.assign(points, centres), truth)


def test_a_group_that_nobody_counted_keeps_its_centre() -> None:
    features, truth = blobs(3, 10)
    grouping = Grouping(PROTOTYPES, 3, seed=0)
    points = grouping.project(features)
    before = grouping.move(None, grouping.tally(points, truth))

    some = truth != 1
    after = grouping.move(before, grouping.tally(points[some], truth[some]))

    assert before is not None
    assert after is not None
    assert np.array_equal(after[1], before[1])


def test_nothing_is_known_without_sums() -> None:
    grouping = Grouping(PROTOTYPES, 3, seed=0)
    assert grouping.move(None, np.zeros(grouping.sums_shape, dtype=np.int64)) is None
    assert to_wire(None) == b""
    assert from_wire(b"", 3) is None


def test_centres_survive_the_wire() -> None:
    features, truth = blobs(3, 10)
    grouping = Grouping(PROTOTYPES, 3, seed=0)
    centres = grouping.move(None, grouping.tally(grouping.project(features), truth))

    back = from_wire(to_wire(centres), 3)

    assert back is not None
    assert centres is not None
    assert np.array_equal(back, centres)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 95,
        b"\0" * 96,
        np.full((3, DIMENSIONS), np.nan, dtype="<f2").tobytes(),
        np.full((3, DIMENSIONS), 1.5, dtype="<f2").tobytes(),
    ],
    ids=["short", "unknown", "NaN", "long"],
)
def test_centres_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="centre"):
        from_wire(data, 3)


@pytest.mark.parametrize(
    ("place", "value"), [((0, -1), -1), ((0, -1), 5000), ((1, 0), 3 * LARGEST + 1)]
)
def test_sums_that_cannot_be_are_refused(place: tuple[int, int], value: int) -> None:
    total = np.zeros((3, DIMENSIONS + 1), dtype=np.int64)
    total[:, -1] = 3
    check_sums(total)
    total[place] = value

    with pytest.raises(ProtocolError, match="report"):
        check_sums(total)


@pytest.mark.parametrize("settings", [{"groups": "cell"}, {"cells": 5}, {"cells": 1}])
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    (key,) = settings
    with pytest.raises(ConfigError, match=f"^{key} = "):
        AskConfig(**settings)  # type: ignore[arg-type]
