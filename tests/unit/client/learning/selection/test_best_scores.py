import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.selection.best_scores import BestScores
from fedask.common.grid import IntArray, Scored


def uids_of(n: int, seed: int = 0) -> NDArray[np.str_]:
    numbers = np.random.default_rng(seed).permutation(n)
    return np.array([f"{number:032x}" for number in numbers.tolist()])


def listed(scored: Scored) -> list[tuple[str, float, int]]:
    columns = scored.uids.tolist(), scored.scores.tolist(), scored.groups.tolist()
    return list(zip(*columns, strict=True))


def test_the_best_come_first_and_ties_by_uid() -> None:
    best = BestScores(3)

    best.add(np.array(["d", "b"]), np.array([0.5, 0.5], np.float32), lambda r: r + 10)
    best.add(np.array(["a", "c"]), np.array([0.2, 0.5], np.float32), lambda r: r + 20)
    best.add(np.array(["e"]), np.array([0.75], np.float32), lambda r: r + 30)

    assert listed(best.result()) == [("e", 0.75, 30), ("b", 0.5, 11), ("c", 0.5, 21)]


@pytest.mark.parametrize("keep", [0, 1, 7])
def test_nothing_added_gives_nothing_of_the_right_types(keep: int) -> None:
    empty = BestScores(keep).result()

    assert len(empty) == 0
    assert empty.scores.dtype == np.float32
    assert empty.groups.dtype == np.int64


def test_keeping_none_keeps_none() -> None:
    best = BestScores(0)

    best.add(uids_of(5), np.ones(5, np.float32), lambda rows: rows)

    assert len(best.result()) == 0


def test_a_result_may_be_asked_for_on_the_way() -> None:
    uids, scores = uids_of(3000), np.random.default_rng(1).random(3000, np.float32)
    best = BestScores(20)

    for stop in (10, 700, 3000):
        start = {10: 0, 700: 10, 3000: 700}[stop]
        best.add(uids[start:stop], scores[start:stop], lambda rows: rows * 0)
        order = np.lexsort((uids[:stop], -scores[:stop]))[:20]
        assert best.result().uids.tolist() == uids[order].tolist()


def test_of_equal_scores_a_later_smaller_uid_displaces_a_held_one() -> None:
    uids = np.sort(uids_of(9000))[::-1]
    best = BestScores(3)

    for start in range(0, 9000, 1500):
        part = slice(start, start + 1500)
        best.add(uids[part], np.full(1500, 0.5, np.float32), lambda rows: rows)

    assert best.result().uids.tolist() == [f"{number:032x}" for number in range(3)]


@pytest.mark.parametrize("order", ["rising", "falling", "equal", "mixed"])
def test_groups_are_asked_for_only_where_a_row_may_belong(order: str) -> None:
    n, k = 200_000, 100
    uids = np.sort(uids_of(n))
    scores = np.linspace(0, 1, n, dtype=np.float32)
    if order == "falling":
        scores = scores[::-1].copy()
    elif order == "equal":
        scores[:] = 0.5
    elif order == "mixed":
        scores = np.random.default_rng(0).permutation(scores)
    best, asked = BestScores(k), 0

    def group_of(rows: NDArray[np.int64]) -> IntArray:
        nonlocal asked
        asked += len(rows)
        return rows

    for start in range(0, n, 1000):
        part = slice(start, start + 1000)
        best.add(uids[part], scores[part], group_of)

    assert best.result().uids.tolist() == uids[np.lexsort((uids, -scores))[:k]].tolist()
    # Only the worst order makes every row one of the best for a while.
    assert asked == n if order == "rising" else asked < 6000


@pytest.mark.parametrize("order", ["rising", "mixed"])
def test_memory_does_not_grow_with_the_samples(order: str) -> None:
    peaks = []
    for n in (100_000, 400_000):
        uids = np.sort(uids_of(n))
        scores = np.linspace(0, 1, n, dtype=np.float32)
        if order == "mixed":
            scores = np.random.default_rng(0).permutation(scores)
        best = BestScores(1000)
        tracemalloc.start()
        try:
            best.add(uids, scores, lambda rows: rows)  # all at once
            best.result()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    # Of uids alone 400,000 would take 51 MB.
    assert max(peaks) < 6_000_000
    assert peaks[1] - peaks[0] < 1_000_000
