import math
from collections.abc import Callable

import numpy as np
import pytest

from fedask.client.learning.scorers.committee import (
    bald,
    consensus_entropy,
    flips,
    max_kl,
    variation_ratio,
    vote_entropy,
)
from fedask.client.learning.scorers.row_blocks import Reals, Scores
from fedask.common.errors import ConfigError

ULP = 2.0**-23
Rows = list[list[float]]  # what each member predicts for one sample

SCORES: dict[str, Callable[[Reals], Scores]] = {
    "bald": bald,
    "consensus_entropy": consensus_entropy,
    "flips": flips,
    "max_kl": max_kl,
    "variation_ratio": variation_ratio,
    "vote_entropy": vote_entropy,
}
named = pytest.mark.parametrize("name", SCORES)


def nats(p: list[float]) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def mean(rows: Rows) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def winners(rows: Rows) -> list[int]:
    return [row.index(max(row)) for row in rows]


def camps(rows: Rows) -> list[float]:
    return [winners(rows).count(c) / len(rows) for c in range(len(rows[0]))]


def slow_bald(rows: Rows) -> float:
    return (nats(mean(rows)) - sum(map(nats, rows)) / len(rows)) / math.log(
        len(rows[0])
    )


def slow_max_kl(rows: Rows) -> float:
    m = mean(rows)
    kl = [
        sum(x * math.log(x / y) for x, y in zip(row, m, strict=True) if x > 0)
        for row in rows
    ]
    return max(kl) / math.log(len(rows))


def slow_variation_ratio(rows: Rows) -> float:
    most_even = 1 - math.ceil(len(rows) / len(rows[0])) / len(rows)
    return (1 - max(camps(rows))) / most_even


def slow_flips(rows: Rows) -> float:
    steps = list(zip(winners(rows), winners(rows)[1:], strict=False))
    return sum(a != b for a, b in steps) / len(steps)


SLOW: dict[str, Callable[[Rows], float]] = {
    "bald": slow_bald,
    "consensus_entropy": lambda r: nats(mean(r)) / math.log(len(r[0])),
    "flips": slow_flips,
    "max_kl": slow_max_kl,
    "variation_ratio": slow_variation_ratio,
    "vote_entropy": lambda r: nats(camps(r)) / math.log(min(len(r), len(r[0]))),
}


def committee(t: int, n: int, c: int, sharpness: float) -> Reals:
    logits = np.random.default_rng(0).normal(0, sharpness, (t, n, c))
    exp = np.exp(logits - logits.max(axis=2, keepdims=True))
    draws: Reals = (exp / exp.sum(axis=2, keepdims=True)).astype(np.float32)
    return draws


@named
@pytest.mark.parametrize(("t", "c"), [(2, 2), (3, 2), (5, 3), (4, 10), (20, 40)])
@pytest.mark.parametrize("sharpness", [0.1, 1.0, 60.0])  # 60: exact zeros and ones
def test_scores_equal_a_slow_reference(
    name: str, t: int, c: int, sharpness: float
) -> None:
    draws = committee(t, 60, c, sharpness)

    scores = SCORES[name](draws)

    rows = draws.astype(np.float64).transpose(1, 0, 2).tolist()
    # Sums of c numbers below 0.4 each, twice; log 2 may divide.
    np.testing.assert_allclose(scores, [SLOW[name](r) for r in rows], atol=2 * c * ULP)


# modAL documentation, "Disagreement sampling": three classifiers, five samples. The
# first sample is left out where probabilities count: one of its rows sums to 0.9 there.
MODAL = np.array(
    [
        [[0.8, 0.1, 0.0], [0.3, 0.7, 0], [1, 0, 0], [0.2, 0.2, 0.6], [0.2, 0.7, 0.1]],
        [[0.0, 1.0, 0.0], [0.4, 0.6, 0], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6], [0, 0, 1]],
        [[0.7, 0.2, 0.1], [0.4, 0, 0.6], [0.3, 0.2, 0.5], [0.1, 0, 0.9], [0, 0.1, 0.9]],
    ],
    dtype=np.float32,
)


def test_modals_vote_entropies_come_out() -> None:
    scores = vote_entropy(MODAL) * math.log(3)

    published = [0.6365, 0.6365, 1.0986, 0.0, 0.6365]  # four decimals
    np.testing.assert_allclose(scores, published, atol=6e-5)


def test_modals_consensus_entropies_come_out() -> None:
    scores = consensus_entropy(MODAL[:, 1:]) * math.log(3)

    np.testing.assert_allclose(scores, [1.0521, 1.0296, 0.8018, 0.8033], atol=6e-5)


def test_modals_largest_divergences_come_out() -> None:
    scores = max_kl(MODAL[:, 1:]) * math.log(3)

    published = [0.69397192, 0.69314718, 0.15686827, 0.70556709]
    np.testing.assert_allclose(scores, published, atol=2e-7)


def test_bald_is_the_mean_of_modals_divergences() -> None:
    published = [  # learner_KL_div there
        [0.27549995, 0.23005799, 0.69397192],
        [0.69314718, 0.34053564, 0.22380466],
        [0.04613903, 0.02914912, 0.15686827],
        [0.70556709, 0.40546511, 0.17201121],
    ]

    scores = bald(MODAL[:, 1:]) * math.log(3)

    np.testing.assert_allclose(scores, np.mean(published, axis=1), atol=3e-7)


def test_certain_members_that_contradict_each_other_score_one() -> None:
    # The three cases by which Gal, Islam and Ghahramani tell the measures apart: sure
    # and agreed, unsure and agreed, sure and split.
    draws = np.array(
        [[[1, 0], [0.5, 0.5], [1, 0]], [[1, 0], [0.5, 0.5], [0, 1]]], dtype=np.float32
    )

    assert bald(draws).tolist() == [0, 0, 1]
    assert consensus_entropy(draws).tolist() == [0, 1, 1]
    assert max_kl(draws).tolist() == [0, 0, 1]
    assert variation_ratio(draws).tolist() == [0, 0, 1]
    assert vote_entropy(draws).tolist() == [0, 0, 1]
    assert flips(draws).tolist() == [0, 0, 1]


@named
def test_members_that_agree_score_zero(name: str) -> None:
    one = committee(1, 200, 5, 3.0)
    draws = np.repeat(one, 3, axis=0)

    scores = SCORES[name](draws)

    if name == "consensus_entropy":  # which the doubt of the members is part of
        assert scores.max() > 0.5
    else:
        np.testing.assert_allclose(scores, 0.0, atol=1e-6)


@pytest.mark.parametrize("t", [2, 3, 7])
def test_one_dissenter_is_the_largest_divergence_there_can_be(t: int) -> None:
    draws = np.zeros((t, 1, 3), dtype=np.float32)
    draws[0, 0, 2] = draws[1:, 0, 1] = 1.0

    assert max_kl(draws)[0] == pytest.approx(1.0, abs=2 * ULP)


def test_votes_as_even_as_they_can_be_reach_one() -> None:
    draws = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]][:, None]  # camps of 2, 2, 1

    assert variation_ratio(draws)[0] == pytest.approx(1.0, abs=ULP)
    assert vote_entropy(draws[:3])[0] == pytest.approx(1.0, abs=2 * ULP)


def test_flips_count_steps_not_classes() -> None:
    to_and_fro, once = [0, 1, 0, 1, 0], [0, 0, 0, 1, 1]
    votes = np.array([to_and_fro, once, [2] * 5]).T

    scores = flips(np.eye(3, dtype=np.float32)[votes])

    assert scores.tolist() == [1.0, 0.25, 0.0]


def test_a_tie_is_a_vote_for_the_first_class() -> None:
    draws = np.array([[[0.5, 0.5]], [[0.9, 0.1]]], dtype=np.float32)

    assert vote_entropy(draws).tolist() == [0.0]


@named
@pytest.mark.parametrize("t", [0, 1])
def test_a_committee_of_one_is_refused(name: str, t: int) -> None:
    with pytest.raises(ConfigError, match=f"committee of {t} cannot disagree"):
        SCORES[name](committee(1, 3, 2, 1.0)[:t])


@pytest.mark.parametrize("name", ["bald", "consensus_entropy", "max_kl"])
def test_permuted_members_leave_the_scores(name: str) -> None:
    draws = committee(6, 100, 5, 2.0)

    scores = SCORES[name](draws[[3, 0, 5, 1, 4, 2]])

    np.testing.assert_allclose(scores, SCORES[name](draws), atol=10 * ULP)
