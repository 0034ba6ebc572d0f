from itertools import product
from math import log

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.candidates import Points, picks, shortlist, softmax

from fedask.client.learning.batchers.greedy_batchers import Answers, BatchBald, bald

Draws = NDArray[np.float32]


def committee(members: int, n: int, classes: int, seed: int) -> Draws:
    rng = np.random.default_rng(seed)
    return softmax(2 * rng.normal(size=(members, n, classes)))


def entropy(p: Points) -> float:
    return -sum(x * log(x) for x in p.ravel().tolist() if x > 0.0)


def joint_information(draws: Draws, rows: list[int]) -> float:
    """Enumerate all joint answers: their entropy, less that given the member."""
    p = draws.astype(np.float64)
    members, _, classes = p.shape
    joint = [
        np.mean(
            [
                np.prod([p[t, r, y] for r, y in zip(rows, answers, strict=True)])
                for t in range(members)
            ]
        )
        for answers in product(range(classes), repeat=len(rows))
    ]
    given = np.mean([sum(entropy(p[t, r]) for r in rows) for t in range(members)])
    return entropy(np.array(joint)) - float(given)


def slow_batch_bald(draws: Draws, k: int) -> list[int]:
    rows: list[int] = []
    while len(rows) < k:
        gains = [
            -1.0 if j in rows else joint_information(draws, [*rows, j])
            for j in range(draws.shape[1])
        ]
        rows.append(int(np.argmax(gains)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_gains_add_up_to_the_joint_information(seed: int) -> None:
    draws = committee(4, 6, 3, seed)
    answers = Answers(draws, 10**6, np.random.default_rng(0))
    total = 0.0

    for row in (3, 0, 5, 1):
        total += float(answers.gains(np.array([row]))[0])
        answers.ask(row)

        asked = [3, 0, 5, 1][: [3, 0, 5, 1].index(row) + 1]
        # Gains are rounded to nine digits; the probabilities sum to 1 within 1e-7.
        assert total == pytest.approx(joint_information(draws, asked), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_few_answers_are_enumerated(seed: int) -> None:
    draws = committee(5, 12, 3, seed)

    rows = picks(BatchBald(), shortlist(np.zeros((12, 0)), draws=draws), 4)

    assert rows == sorted(slow_batch_bald(draws, 4))


def test_the_gain_of_one_sample_is_bald() -> None:
    draws = committee(4, 9, 3, 0)

    gains = Answers(draws, 100, np.random.default_rng(0)).gains(np.arange(9))

    expected = [joint_information(draws, [row]) for row in range(9)]
    np.testing.assert_allclose(bald(draws), expected, atol=1e-6)
    np.testing.assert_allclose(gains, expected, atol=1e-6)


def test_a_committee_that_disagrees_for_sure_tells_log_two() -> None:
    # Members that are certain and contradict each other; that agree; that are unsure.
    draws = np.array(
        [[[1, 0], [1, 0], [0.5, 0.5]], [[0, 1], [1, 0], [0.5, 0.5]]], dtype=np.float32
    )

    assert bald(draws) == pytest.approx([log(2), 0.0, 0.0], abs=1e-12)


def test_a_second_question_that_tells_the_same_is_not_asked() -> None:
    # Four members, two bits. Rows 0 and 1 tell the first bit for certain, row 2 tells
    # the second less clearly. BALD asks 0 and 1, BatchBALD 0 and 2.
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    clear = np.eye(2)
    dim = np.array([[0.9, 0.1], [0.1, 0.9]])
    draws = np.stack([clear[first], clear[first], dim[second]], axis=1).astype("f4")
    given = shortlist(np.zeros((3, 0)), draws=draws)

    assert np.argsort(-bald(draws))[:2].tolist() == [0, 1]
    assert picks(BatchBald(), given, 2) == [0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_sampled_answers_estimate_what_enumerated_ones_give(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = softmax(rng.normal(size=(6, 13, 3)))
    exact = Answers(draws, 10**5, np.random.default_rng(0))
    sampled = Answers(draws, 10_000, np.random.default_rng(seed))
    for row in range(10):  # 3 ** 10 = 59049 configurations
        exact.ask(row)
        sampled.ask(row)

    gains = sampled.gains(np.arange(10, 13))

    expected = exact.gains(np.arange(10, 13))
    assert expected.max() > 0.04
    # Over thirty seeds the deviation is below 0.0009.
    np.testing.assert_allclose(gains, expected, atol=0.004)
    assert (gains != expected).all()


def test_long_batches_stay_finite() -> None:
    # 0.1 ** 400 is no float: configurations must not be followed by their probability.
    draws = committee(4, 450, 10, 0)
    answers = Answers(draws, 50, np.random.default_rng(0))

    for row in range(400):
        answers.ask(row)

    gains = answers.gains(np.arange(400, 450))
    assert np.isfinite(gains).all()
    assert np.abs(gains).max() < 1e-6  # by now it is known which member is right


def test_only_the_most_informative_candidates_are_looked_at() -> None:
    draws = committee(4, 40, 3, 0)
    given = shortlist(np.zeros((40, 0)), draws=draws)

    best = np.argsort(-bald(draws))[:6].tolist()

    assert set(picks(BatchBald(most=1), given, 3)) <= set(best)


def test_ties_go_to_the_better_score() -> None:
    draws = committee(4, 1, 3, 0).repeat(8, axis=1)
    scores = np.array([1, 3, 2, 8, 5, 7, 4, 6], np.float32)

    given = shortlist(np.zeros((8, 0)), draws=draws, scores=scores)

    assert picks(BatchBald(), given, 1) == [3]


def test_when_nothing_is_left_to_tell_the_better_score_is_asked() -> None:
    # The first answer tells the member for sure; the last row has the higher BALD.
    draws = np.array(
        [[[1, 0], [0.6, 0.4], [0.9, 0.1]], [[0, 1], [0.4, 0.6], [0.1, 0.9]]], np.float32
    )

    assert bald(draws)[2] > bald(draws)[1]
    assert picks(BatchBald(), shortlist(np.zeros((3, 0)), draws=draws), 2) == [0, 1]


def test_a_committee_of_one_tells_nothing() -> None:
    given = shortlist(np.zeros((9, 0)), draws=committee(1, 9, 3, 0))

    assert picks(BatchBald(), given, 4) == [0, 1, 2, 3]
