from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.batchers.batcher import BATCHERS, Batcher, Shortlist, make_batcher
from fedask.common.errors import ConfigError

SIZE = 30


@pytest.fixture(params=BATCHERS)
def batcher(request: pytest.FixtureRequest) -> Batcher:
    return make_batcher(request.param)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.float32] = (exp / exp.sum(axis=1, keepdims=True)).astype("f4")
    return probs


def shortlist(*, seed: int = 0, n: int = SIZE) -> Shortlist:
    rng = np.random.default_rng(seed)
    return Shortlist(
        scores=np.sort(rng.random(n, dtype=np.float32))[::-1],
        accepted=rng.random(n) < 0.3,
        features=rng.normal(size=(n, 6)).astype(np.float32),
        probs=softmax(rng.normal(size=(n, 4))),
    )


def pick(batcher: Batcher, given: Shortlist, k: int, seed: int = 0) -> list[int]:
    rows = batcher.pick(given, k, np.random.default_rng(seed))
    assert rows.dtype == np.int64
    assert rows.shape == (k,)
    picked: list[int] = rows.tolist()
    return picked


def is_set_of_rows(rows: list[int], n: int) -> bool:
    ascending = all(a < b for a, b in pairwise(rows))
    return ascending and all(0 <= row < n for row in rows)


@pytest.mark.parametrize("k", range(SIZE + 1))
@pytest.mark.parametrize("seed", range(3))
def test_k_different_rows_come_out_ascending(
    batcher: Batcher, k: int, seed: int
) -> None:
    rows = pick(batcher, shortlist(seed=seed), k, seed)

    assert is_set_of_rows(rows, SIZE)


def test_an_empty_shortlist_gives_nothing(batcher: Batcher) -> None:
    assert pick(batcher, shortlist(n=0), 0) == []


def test_a_shortlist_of_one_gives_it(batcher: Batcher) -> None:
    assert pick(batcher, shortlist(n=1), 1) == [0]


@pytest.mark.parametrize("k", [1, 5, SIZE - 1])
def test_the_seed_decides(batcher: Batcher, k: int) -> None:
    given = shortlist()

    assert pick(batcher, given, k, 3) == pick(batcher, given, k, 3)


@pytest.mark.parametrize("k", [1, 2, 10, SIZE])
@pytest.mark.parametrize("seed", range(50))
def test_copies_of_a_sample_are_never_picked_as_one_row(
    batcher: Batcher, k: int, seed: int
) -> None:
    # scikit-activeml 1.0.1 repeats a row in 42 of 50 seeds on such a pool.
    of = np.random.default_rng(seed).integers(0, 3, SIZE)
    few = shortlist(seed=seed, n=3)
    given = shortlist()
    given = Shortlist(given.scores, given.accepted, few.features[of], few.probs[of])

    assert is_set_of_rows(pick(batcher, given, k, seed), SIZE)


@pytest.mark.parametrize("k", range(0, SIZE + 1, 5))
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e18])
def test_equal_points_and_predictions_still_give_k_rows(
    batcher: Batcher, k: int, value: float
) -> None:
    given = Shortlist(
        scores=np.ones(SIZE, np.float32),
        accepted=np.zeros(SIZE, np.bool_),
        features=np.full((SIZE, 4), value, np.float32),
        probs=np.full((SIZE, 3), 1 / 3, np.float32),
    )

    assert is_set_of_rows(pick(batcher, given, k), SIZE)


def test_certain_predictions_still_give_k_rows(batcher: Batcher) -> None:
    given = shortlist()
    certain = np.eye(4, dtype=np.float32)[np.arange(SIZE) % 4]
    given = Shortlist(given.scores, given.accepted, given.features, certain)

    assert is_set_of_rows(pick(batcher, given, 7), SIZE)


def test_the_shortlist_is_left_alone(batcher: Batcher) -> None:
    given = shortlist()
    fields = ("scores", "accepted", "features", "probs")
    before = [getattr(given, name).copy() for name in fields]
    for name in fields:
        getattr(given, name).flags.writeable = False

    pick(batcher, given, 7)

    for name, old in zip(fields, before, strict=True):
        assert np.array_equal(getattr(given, name), old)


def test_a_batcher_without_need_works_without_features(batcher: Batcher) -> None:
    if batcher.needs_model:
        return
    empty = np.zeros((SIZE, 0), dtype=np.float32)
    given = Shortlist(shortlist().scores, shortlist().accepted, empty, empty)

    assert is_set_of_rows(pick(batcher, given, 5), SIZE)


def test_an_unknown_batcher_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown batcher 'clusters'.*'cluster'"):
        make_batcher("clusters")
