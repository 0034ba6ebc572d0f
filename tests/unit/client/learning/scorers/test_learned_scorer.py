"""The scorers that learn, on given histories."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from tests.support.client.views import past, rich

from fedask.client.learning.scorers.learned_scorer import FEWEST_GAINS, trust_of
from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.records.query_outcome import OutcomeHistory


def given_history(
    history: OutcomeHistory, n: int = 200
) -> tuple[PredictionView, ScoringContext]:
    view, known = rich(n)
    return view, replace(known, history=history)


def scores_of(name: str, history: OutcomeHistory) -> tuple[Floats, Floats]:
    view, known = given_history(history)
    return view.descriptors, make_scorer(name)(view, known)


def correlation(scores: Floats, other: Floats) -> float:
    return float(np.corrcoef(scores, other)[0, 1])


def test_learned_finds_the_expert_that_knows_what_the_model_gets_wrong() -> None:
    opinions, scores = scores_of("learned", past(60))

    assert correlation(scores, opinions[:, 0]) > 0.98
    assert correlation(opinions.mean(axis=1), opinions[:, 0]) < 0.7


def test_learned_turns_against_an_expert_that_is_wrong() -> None:
    history = past(60)
    opinions, scores = scores_of("learned", replace(history, truths=1 - history.truths))

    assert correlation(scores, opinions[:, 0]) < -0.98


@pytest.mark.parametrize(("truth", "least", "most"), [(1, 0, 0.1), (0, 0.9, 1)])
def test_what_is_always_right_scores_low_and_what_is_always_wrong_high(
    truth: float, least: float, most: float
) -> None:
    truths = np.full(40, truth, dtype=np.float32)

    _, scores = scores_of("learned", replace(past(40), truths=truths))

    assert least <= scores.min() <= scores.max() <= most


@pytest.mark.parametrize("name", ["learned", "albl"])
def test_the_mean_of_the_experts_is_the_score_while_nothing_is_known(name: str) -> None:
    history = past(FEWEST_GAINS - 1)
    history = replace(history, cycles=np.ones(len(history), dtype=np.int64))

    opinions, scores = scores_of(name, history)

    np.testing.assert_allclose(scores, opinions.mean(axis=1), rtol=1e-6)


def played(
    votes: NDArray[np.float64], hits: list[bool], planned: int
) -> OutcomeHistory:
    """One question a cycle: votes (l, q) relative to the level of the pool."""
    return OutcomeHistory(
        cycles=np.arange(1, len(hits) + 1),
        descriptors=(votes * 0.25).astype(np.float32),
        levels=np.full(votes.shape, 0.25, dtype=np.float32),
        truths=np.array(hits, dtype=np.float32),
        hits=np.array(hits),
        planned=planned,
    )


def test_the_question_before_a_right_answer_is_credited_by_hand() -> None:
    # Two experts, T = 8: both start at 1/2. The first would have asked question 1 three
    # times as likely as at random, the second as likely as at random; question 2 is
    # answered as predicted, so the reward is 1. Log weights grow by floor / 2 times
    # vote / 2 (the mean of 3 and 1), plus a doubt that is the same for both.
    votes = np.array([[3.0, 1.0], [1.0, 1.0]])
    floor = math.sqrt(math.log(2) / 16)
    exact = (3 * 0.25 + 0.01) / 0.26, 1.0  # opinions are raised by 0.01
    gap = floor / 2 * (exact[0] - exact[1]) / ((exact[0] + exact[1]) / 2)
    first = (1 - 2 * floor) / (1 + math.exp(-gap)) + floor

    trust = trust_of(played(votes, [False, True], 8), 2)

    assert trust == pytest.approx([first, 1 - first], rel=1e-6)
    assert trust_of(played(votes, [True, False], 8), 2).tolist() == [0.5, 0.5]


def test_an_expert_that_likes_everything_alike_is_not_trusted_for_it() -> None:
    loud = OutcomeHistory(
        cycles=np.arange(1, 31),
        descriptors=np.tile(np.array([0.98, 0.3], dtype=np.float32), (30, 1)),
        levels=np.tile(np.array([0.98, 0.1], dtype=np.float32), (30, 1)),
        truths=np.ones(30, dtype=np.float32),
        hits=np.ones(30, dtype=np.bool_),
        planned=30,
    )

    trust = trust_of(loud, 2)

    assert trust[1] > 0.6 > trust[0]  # by opinions alone it would be the other way


def test_likely_questions_count_less_in_the_reward() -> None:
    # Both histories have a hit and a miss in cycle 2. The hit on the question that was
    # unlikely stands for more of the pool, and is the larger reward.
    votes = np.array([[3.0, 1.0], [3.5, 3.5], [0.2, 0.2]])

    def trust(hits: list[bool]) -> float:
        history = replace(played(votes, hits, 8), cycles=np.array([1, 2, 2]))
        return float(trust_of(history, 2)[0])

    assert trust([True, False, True]) > trust([True, True, False]) > 0.5


def test_trust_moves_the_scores_towards_the_expert() -> None:
    votes = np.tile([3.0, 0.5, 0.5], (200, 1))

    history = played(votes, [True] * 200, 200)
    opinions, scores = scores_of("albl", history)

    trust = trust_of(history, 3)
    assert trust[0] > 0.7
    np.testing.assert_allclose(scores, opinions @ trust, rtol=1e-5)


unit = st.floats(0, 1, width=32)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    data=st.data(),
    n=st.integers(0, 40),
    q=st.integers(1, 6),
    planned=st.integers(1, 50),
)
def test_whatever_is_found_scores_and_trust_stay_in_range(
    data: st.DataObject, n: int, q: int, planned: int
) -> None:
    opinions = data.draw(arrays.arrays("f4", (n, q), elements=unit))
    levels = data.draw(arrays.arrays("f4", (n, q), elements=unit))
    truths = data.draw(arrays.arrays("f4", (n,), elements=unit))
    hits = data.draw(arrays.arrays(np.bool_, (n,)))
    cycles = data.draw(arrays.arrays("i8", (n,), elements=st.integers(1, 9)))
    history = OutcomeHistory(
        cycles=np.sort(cycles),
        descriptors=opinions,
        levels=levels,
        truths=truths,
        hits=hits,
        planned=planned,
    )

    trust = trust_of(history, q)

    assert trust.sum() == pytest.approx(1.0)
    assert trust.min() > 0.0
    view, known = rich(20)
    view = replace(
        view, descriptors=data.draw(arrays.arrays("f4", (20, q), elements=unit))
    )
    for name in ("learned", "albl"):
        scores = make_scorer(name)(view, replace(known, history=history))
        assert scores.min() >= 0.0
        assert scores.max() <= 1.0
