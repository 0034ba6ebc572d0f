import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.views import NOTHING, scored, seen
from typing_extensions import override

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.selection import best_scores
from fedask.client.learning.selection.best_scores import BATCH_SAMPLES, score_pool
from fedask.client.records.pool import DataSource, Pool
from fedask.common.errors import ConfigError
from fedask.common.grid import Scored
from fedask.common.ids import Uid


class Counting(DataSource):
    """Samples that are their own row numbers; remembers what was loaded."""

    def __init__(self, order: NDArray[np.int64]) -> None:
        self.order = order
        self.loads: list[int] = []

    @override
    def uids(self) -> NDArray[np.str_]:
        return np.array([f"{i:032x}" for i in self.order.tolist()])

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        self.loads.append(len(rows))
        return self.order[rows]


class Fixed(Scorer):
    """Gives what it is told."""

    needs = frozenset[str]()

    def __init__(self, give: Callable[[int], Any]) -> None:
        self._give = give

    @override
    def __call__(self, view: PredictionView, known: ScoringContext) -> Floats:
        scores: Floats = self._give(len(view))
        return scores


def predict(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Many ties: only 97 different predictions."""
    first = (raw * 31 % 97).astype(np.float32) / 97
    rest = 1 - first
    return np.stack([first, rest * 0.75, rest * 0.25], axis=1).astype(np.float32)


def look(uids: NDArray[np.str_], raw: NDArray[Any]) -> PredictionView:
    return seen(predict(raw), uids)


def score(
    source: DataSource, *, keep: int = 20, exclude: tuple[Uid, ...] = ()
) -> Scored:
    scorer = make_scorer("margin")
    return score_pool(Pool(source), exclude, look, scorer, NOTHING, keep=keep)


def listed(best: Scored) -> list[tuple[str, float, int]]:
    columns = best.uids.tolist(), best.scores.tolist(), best.groups.tolist()
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("keep", [1, 20, 499, 500, 501, 10_000])
@pytest.mark.parametrize("batch", [1, 7, 500, 1024])
def test_streaming_equals_scoring_everything_at_once(
    keep: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_scores, "BATCH_SAMPLES", batch)
    source = Counting(np.arange(500))

    best = score(source, keep=keep)

    probs = predict(source.order)
    scores = scored(make_scorer("margin"), probs, source.uids())
    rows = zip(
        source.uids().tolist(), scores.tolist(), probs.argmax(1).tolist(), strict=True
    )
    assert listed(best) == sorted(rows, key=lambda row: (-row[1], row[0]))[:keep]


@pytest.mark.parametrize("seed", range(3))
def test_the_result_does_not_depend_on_the_order_of_the_pool(seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(3000)

    assert listed(score(Counting(mixed))) == listed(score(Counting(np.arange(3000))))


def test_excluded_samples_are_neither_loaded_nor_scored() -> None:
    source = Counting(np.arange(2500))
    whole = score(source, keep=2500)
    exclude = tuple(Uid(uid) for uid in whole.uids[::3].tolist())
    source.loads.clear()

    best = score(source, keep=2500, exclude=exclude)

    expected = [row for row in listed(whole) if row[0] not in exclude]
    assert listed(best) == expected
    assert sum(source.loads) == 2500 - len(exclude)


def test_an_excluded_sample_that_left_the_pool_does_no_harm() -> None:
    gone = (Uid("f" * 32),)

    assert len(score(Counting(np.arange(50)), keep=50, exclude=gone)) == 50


def test_everything_may_be_excluded() -> None:
    source = Counting(np.arange(50))
    exclude = tuple(Uid(uid) for uid in source.uids().tolist())

    best = score(source, exclude=exclude)

    assert listed(best) == []
    assert best.scores.dtype == np.float32
    assert best.groups.dtype == np.int64
    assert source.loads == []


def peak_bytes(pool: Pool, exclude: set[Uid]) -> int:
    scorer = make_scorer("margin")
    tracemalloc.start()
    try:
        score_pool(pool, exclude, look, scorer, NOTHING, keep=100)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("share", [0, 1000], ids=["none excluded", "0.1 % excluded"])
def test_memory_does_not_grow_with_the_pool(share: int) -> None:
    peaks = []
    for size in (10_000, 200_000):
        source = Counting(np.arange(size))
        pool = Pool(source)
        exclude = {Uid(f"{i:032x}") for i in range(0, size, share)} if share else set()
        peaks.append(peak_bytes(pool, exclude))
        assert max(source.loads) <= BATCH_SAMPLES
        assert sum(source.loads) == size - len(exclude)

    # 190,000 samples more, and up to 190 excluded ones.
    assert peaks[1] - peaks[0] < 100_000


def test_whatever_real_type_a_scorer_gives_is_kept_as_float32() -> None:
    # In float64 this falls into bin 31 of 64, as float32 into bin 32: a device would
    # then be counted in one bin and asked from the other.
    almost = 0.5 - 1e-12
    pool = Pool(Counting(np.arange(3)))

    for give in (lambda n: np.full(n, almost), lambda n: [almost] * n):
        best = score_pool(pool, (), look, Fixed(give), NOTHING, keep=3)
        assert best.scores.dtype == np.float32
        assert best.scores.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda n: np.full(n, np.nan, np.float32), "NaN or a score outside"),
        (lambda n: np.full(n, 1.5, np.float32), "NaN or a score outside"),
        (lambda n: np.zeros(n - 1, np.float32), r"gave shape \(49,\) for 50"),
    ],
)
def test_a_faulty_scorer_is_refused_by_name(
    give: Callable[[int], NDArray[np.float32]], message: str
) -> None:
    pool = Pool(Counting(np.arange(50)))

    with pytest.raises(ConfigError, match=f"scorer 'Fixed' .*{message}"):
        score_pool(pool, (), look, Fixed(give), NOTHING, keep=5)
