import tracemalloc
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.batchers.batcher import (
    BATCHERS,
    Batcher,
    Shortlist,
    make_batcher,
)
from fedask.common.errors import ConfigError

SIZE = 30
MIB = 2**20
NAMES = [*BATCHERS, "distinct+top", "distinct+kmeans++"]
DRAWN_BY_SCORE = {"power", "softmax"}
DETERMINISTIC = [
    "top",
    "k-center",
    "facility-location",
    "batch-bald",
    "distinct+top",
    "distinct+k-center",
]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


@pytest.fixture
def batcher(name: str) -> Batcher:
    return make_batcher(name)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float32] = (exp / exp.sum(axis=-1, keepdims=True)).astype("f4")
    return probs


def shortlist(*, seed: int = 0, n: int = SIZE, d: int = 6) -> Shortlist:
    rng = np.random.default_rng(seed)
    return Shortlist(
        scores=np.sort(rng.random(n, dtype=np.float32))[::-1],
        accepted=rng.random(n) < 0.3,
        features=rng.normal(size=(n, d)).astype(np.float32),
        probs=softmax(rng.normal(size=(n, 4))),
        anchors=rng.normal(size=(5, d)).astype(np.float32),
        draws=softmax(rng.normal(size=(3, n, 4))),
        local_probs=softmax(rng.normal(size=(n, 4))),
        local_features=rng.normal(size=(n, d + 1)).astype(np.float32),
    )


def arrays(given: Shortlist) -> dict[str, NDArray[Any]]:
    every = {field.name: getattr(given, field.name) for field in fields(given)}
    return {name: array for name, array in every.items() if array is not None}


def taken(given: Shortlist, rows: NDArray[np.int64]) -> Shortlist:
    """Return the candidates ``rows`` with every field."""
    return given.keep(rows, frozenset(arrays(given)))


def changed(given: Shortlist, changes: Mapping[str, Any]) -> Shortlist:
    return replace(given, **changes)


def pick(batcher: Batcher, given: Shortlist, k: int, seed: int = 0) -> list[int]:
    rows = batcher.pick(given, k, np.random.default_rng(seed))
    assert rows.dtype == np.int64
    assert rows.shape == (k,)
    picked: list[int] = rows.tolist()
    assert all(a < b for a, b in pairwise(picked))
    assert all(0 <= row < len(given) for row in picked)
    return picked


@pytest.mark.parametrize("seed", range(3))
def test_k_different_rows_come_out_ascending(batcher: Batcher, seed: int) -> None:
    for k in range(SIZE + 1):
        pick(batcher, shortlist(seed=seed), k, seed)


def test_all_are_picked_if_all_are_asked_for(batcher: Batcher) -> None:
    assert pick(batcher, shortlist(), SIZE) == list(range(SIZE))


def test_an_empty_shortlist_gives_nothing(batcher: Batcher) -> None:
    assert pick(batcher, shortlist(n=0), 0) == []


def test_a_shortlist_of_one_gives_it(batcher: Batcher) -> None:
    assert pick(batcher, shortlist(n=1), 1) == [0]
    assert pick(batcher, shortlist(n=1), 0) == []


@pytest.mark.parametrize("k", [-1, SIZE + 1])
def test_a_batch_larger_than_the_shortlist_is_refused(batcher: Batcher, k: int) -> None:
    with pytest.raises(ConfigError, match=f"{k} questions from a shortlist of {SIZE}"):
        batcher.pick(shortlist(), k, np.random.default_rng(0))


@pytest.mark.parametrize("k", [1, 5, SIZE - 1])
def test_the_seed_decides(batcher: Batcher, k: int) -> None:
    # small-text 1.4.1 draws its BADGE batch from a generator that nobody can seed.
    given = shortlist()

    assert pick(batcher, given, k, 3) == pick(batcher, given, k, 3)


@pytest.mark.parametrize("k", [1, 2, 10, SIZE - 1])
def test_copies_of_a_sample_are_never_picked_as_one_row(
    batcher: Batcher, k: int
) -> None:
    # scikit-activeml 1.0.1 repeats a row in 42 of 50 seeds on such a pool.
    for seed in range(20):
        of = np.random.default_rng(seed).integers(0, 3, SIZE)
        few = taken(shortlist(seed=seed, n=3), of)

        pick(batcher, replace(few, scores=shortlist().scores), k, seed)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e18, 1e38])
def test_equal_points_and_predictions_still_give_k_rows(
    batcher: Batcher, value: float
) -> None:
    points = np.full((SIZE, 4), value, np.float32)
    probs = np.full((SIZE, 3), 1 / 3, np.float32)
    given = Shortlist(
        scores=np.ones(SIZE, np.float32),
        accepted=np.zeros(SIZE, np.bool_),
        features=points,
        probs=probs,
        anchors=points[:2],
        draws=np.full((2, SIZE, 3), 1 / 3, np.float32),
        local_probs=probs,
        local_features=points,
    )

    for k in range(0, SIZE + 1, 5):
        pick(batcher, given, k)
        pick(batcher, replace(given, anchors=None), k)


def test_certain_predictions_still_give_k_rows(batcher: Batcher) -> None:
    certain = np.eye(4, dtype=np.float32)[np.arange(SIZE) % 4]
    given = replace(
        shortlist(),
        probs=certain,
        local_probs=certain,
        draws=certain[None].repeat(3, 0),
    )

    pick(batcher, given, 7)


def test_the_shortlist_is_left_alone(batcher: Batcher) -> None:
    # scikit-activeml 1.0.1 writes NaN and clips into the arrays that it is given.
    given = shortlist()
    before = {name: array.copy() for name, array in arrays(given).items()}
    for array in arrays(given).values():
        array.flags.writeable = False

    pick(batcher, given, 7)

    for field, array in arrays(given).items():
        assert np.array_equal(array, before[field])


def test_needs_are_fields_of_the_shortlist(batcher: Batcher) -> None:
    assert batcher.needs <= {field.name for field in fields(Shortlist)}


def test_what_is_not_needed_is_not_read(batcher: Batcher) -> None:
    given = shortlist()
    bare = given.keep(np.arange(SIZE), batcher.needs)

    assert pick(batcher, bare, 7) == pick(batcher, given, 7)


def test_without_a_model_the_best_scores_are_picked(
    name: str, batcher: Batcher
) -> None:
    bare = shortlist().keep(np.arange(SIZE), frozenset())

    rows = pick(batcher, bare, 9)

    if name not in DRAWN_BY_SCORE:
        assert rows == bare.top(9).tolist()


def test_features_without_columns_give_k_rows(batcher: Batcher) -> None:
    pick(batcher, shortlist(d=0), 7)


@pytest.mark.parametrize("field", ["anchors", "draws", "local_probs", "local_features"])
def test_an_optional_field_may_be_missing(batcher: Batcher, field: str) -> None:
    for k in (0, 1, 7, SIZE - 1, SIZE):
        pick(batcher, changed(shortlist(), {field: None}), k)


def test_no_anchor_is_as_good_as_none_asked_for(batcher: Batcher) -> None:
    # DISTIL's CoreSet ends in a TypeError before the first label.
    none = replace(shortlist(), anchors=np.zeros((0, 6), np.float32))

    assert pick(batcher, none, 7) == pick(batcher, replace(none, anchors=None), 7)


def test_halves_are_read_as_what_they_stand_for(batcher: Batcher) -> None:
    halves = {
        name: array.astype(np.float16)
        for name, array in arrays(shortlist()).items()
        if name not in {"accepted", "scores"}
    }
    singles = {name: array.astype(np.float32) for name, array in halves.items()}

    for k in (1, 7, 20):
        half = pick(batcher, changed(shortlist(), halves), k)
        assert half == pick(batcher, changed(shortlist(), singles), k)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_damaged_field_is_refused_by_name(batcher: Batcher, value: float) -> None:
    for field in batcher.needs:
        damaged = arrays(shortlist())[field].copy()
        damaged.reshape(-1)[17 % damaged.size] = value
        given = changed(shortlist(), {field: damaged})

        with pytest.raises(ConfigError, match=f"{field} hold NaN or infinity"):
            batcher.pick(given, 7, np.random.default_rng(0))


def test_a_field_of_another_length_is_refused(batcher: Batcher) -> None:
    for field in batcher.needs - {"scores"}:
        array = arrays(shortlist())[field]
        short = array[:, :-1] if field in {"anchors", "draws"} else array[:-1]
        given = changed(shortlist(), {field: short})

        with pytest.raises(ConfigError, match="does not fit 30 candidates"):
            batcher.pick(given, 7, np.random.default_rng(0))


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_does_not_matter(name: str, seed: int) -> None:
    batcher, given = make_batcher(name), shortlist(seed=seed)
    moved = np.random.default_rng(seed).permutation(SIZE)

    for k in (1, 3, 12):
        rows = pick(batcher, given, k)
        after = pick(batcher, taken(given, moved), k)
        assert sorted(moved[after].tolist()) == rows


@pytest.mark.slow
def test_memory_is_bounded(batcher: Batcher) -> None:
    # DeepAL+ keeps n * n distances: 380 MiB here, beside features of 1.2 MiB.
    given = shortlist(n=10_000, d=32)
    tracemalloc.start()

    batcher.pick(given, 100, np.random.default_rng(0))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB


@pytest.mark.parametrize(
    ("text", "near"), [("clusters", "cluster"), ("distinct+k-centre", "k-center")]
)
def test_an_unknown_batcher_names_the_nearest(text: str, near: str) -> None:
    unknown = text.removeprefix("distinct+")
    with pytest.raises(ConfigError, match=f"unknown batcher '{unknown}'.*'{near}'"):
        make_batcher(text)
