"""What active-learning libraries get wrong when they score, and fedask does not.

Each was observed by running the library; the comment names it and its version.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.scorers.uncertainty import entropy, least_confidence, margin
from fedask.client.learning.selection.best_scores import BestScores
from fedask.common.grid import Scored

Score = Callable[[NDArray[np.floating[Any]]], NDArray[np.float32]]

scored = pytest.mark.parametrize("score", [margin, entropy, least_confidence])


def best(scores: NDArray[np.float32], k: int, order: NDArray[np.int64]) -> Scored:
    uids = np.array([f"{row:032x}" for row in range(len(scores))])
    held = BestScores(k)
    held.add(uids[order], scores[order], lambda rows: rows)
    return held.result()


@scored
def test_a_certain_sample_with_exact_zeros_is_asked_last(score: Score) -> None:
    # libact (git cac4c1e) and DISTIL 0.2.0: entropy NaN at p = 0; libact's argmax then
    # asks the certain sample first.
    probs = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]], dtype=np.float32)

    asked = best(score(probs), 3, np.arange(3))

    assert asked.uids.tolist()[-1] == f"{0:032x}"
    assert asked.scores.tolist()[-1] == 0.0


@scored
def test_half_precision_rows_are_not_normalised_again(score: Score) -> None:
    # Baal 2.1.0: if one row's sum is off by 1e-5 the whole matrix is soft-maxed again;
    # mean entropy became ln 100 and 25 of the top 100 were lost.
    logits = np.random.default_rng(0).normal(0, 3, (2000, 100))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    half = probs.astype(np.float16)
    assert np.abs(half.astype(np.float64).sum(axis=1) - 1).max() > 1e-5

    whole, rounded = score(probs), score(half)

    assert abs(float(rounded.mean() - whole.mean())) < 1e-3
    top = [set(best(s, 100, np.arange(2000)).uids.tolist()) for s in (whole, rounded)]
    assert len(top[0] & top[1]) >= 95


@scored
def test_the_callers_predictions_are_not_written_to(score: Score) -> None:
    # ALiPy 1.2.5 writes 1e-6 where p = 0; scikit-activeml 1.0.1 clips draws in place.
    probs = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    before = probs.copy()
    probs.flags.writeable = False

    score(probs)

    assert np.array_equal(probs, before)


def test_the_callers_scores_are_not_written_to() -> None:
    # scikit-activeml 1.0.1, simple_batch: NaN where a sample was chosen (issue 566).
    scores = np.linspace(0, 1, 50, dtype=np.float32)
    before = scores.copy()
    scores.flags.writeable = False

    best(scores, 5, np.arange(50))

    assert np.array_equal(scores, before)


def test_equal_scores_do_not_ask_the_first_rows() -> None:
    # modAL 0.4.2.1: an unfitted model scores all alike and the first k rows are asked,
    # so the batch is whatever the pool's order makes it.
    scores = np.full(500, 0.25, dtype=np.float32)
    rng = np.random.default_rng(0)

    asked = [best(scores, 7, rng.permutation(500)).uids.tolist() for _ in range(5)]

    assert asked == [[f"{row:032x}" for row in range(7)]] * 5


def test_a_sample_is_asked_once_however_many_share_its_score() -> None:
    # scikit-activeml 1.0.1, Badge: rows repeat within a batch where rows are equal.
    scores = np.repeat(np.array([0.9, 0.5], dtype=np.float32), [3, 200])

    asked = best(scores, 40, np.arange(203)).uids.tolist()

    assert len(set(asked)) == 40


def test_a_million_rows_keep_no_more_than_the_best() -> None:
    # scikit-activeml 1.0.1 keeps k x n float64 utilities, 7.5 GiB for 1000 of these.
    rng = np.random.default_rng(0)
    held, asked = BestScores(1000), 0

    def group_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        nonlocal asked
        asked += len(rows)
        return rows

    for start in range(0, 1_000_000, 20_000):
        uids = np.array([f"{row:032x}" for row in range(start, start + 20_000)])
        held.add(uids, rng.random(20_000, dtype=np.float32), group_of)

    assert len(held.result()) == 1000
    # k of the first rows, then k log2(n / k) on average.
    assert asked < 20_000
