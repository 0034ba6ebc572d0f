import numpy as np
import pytest
from tests.support.client.candidates import chi_square, picks, shortlist

from fedask.client.learning.batchers.batcher import Shortlist, make_batcher
from fedask.client.learning.batchers.clustering import Cluster
from fedask.client.learning.batchers.deduplication import Distinct
from fedask.client.learning.batchers.score_batchers import (
    PowerBatcher,
    SoftmaxBatcher,
    Top,
    draw,
)
from fedask.common.errors import ConfigError


def test_top_returns_the_accepted_rows() -> None:
    accepted = np.array([True, False, True, False, False, True])
    given = shortlist(np.zeros((6, 0)))
    given = Shortlist(given.scores, accepted, given.features, given.probs)

    assert picks(Top(), given, 3) == [0, 2, 5]
    assert picks(Top(), given, 2) == [0, 2]
    assert picks(Top(), given, 5) == [0, 1, 2, 3, 5]  # then the best of the rest


def test_top_breaks_ties_by_row() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5], np.float32)

    assert picks(Top(), shortlist(np.zeros((4, 0)), scores=scores), 3) == [0, 1, 2]


def test_best_first_orders_by_score_then_row() -> None:
    scores = np.array([0.5, 0.9, 0.5, 1.0], np.float32)

    given = shortlist(np.zeros((4, 0)), scores=scores)

    assert given.best_first().tolist() == [3, 1, 0, 2]


def test_kept_rows_bring_only_the_fields_that_are_needed() -> None:
    given = shortlist(
        np.arange(8.0).reshape(4, 2),
        anchors=np.ones((3, 2), np.float32),
        draws=np.arange(16.0).reshape(2, 4, 2),
        local_probs=np.arange(8.0).reshape(4, 2),
    )

    some = given.keep(np.array([3, 1]), frozenset({"features", "draws"}))

    assert len(some) == 2
    assert some.scores.tolist() == given.scores[[3, 1]].tolist()
    assert some.features.tolist() == [[6, 7], [2, 3]]
    assert some.draws is not None
    assert some.draws.tolist() == [[[6, 7], [2, 3]], [[14, 15], [10, 11]]]
    assert some.probs.shape == (2, 0)
    assert some.anchors is None
    assert some.local_probs is None


def test_a_name_with_distinct_in_front_wraps_the_batcher() -> None:
    batcher = make_batcher("distinct+cluster")

    assert isinstance(batcher, Distinct)
    assert isinstance(batcher.inner, Cluster)


def test_anchors_of_another_model_are_refused() -> None:
    given = shortlist(np.zeros((4, 2)), anchors=np.zeros((3, 5), np.float32))

    with pytest.raises(ConfigError, match=r"anchors are \(3, 5\).*features \(4, 2\)"):
        make_batcher("k-center").pick(given, 1, np.random.default_rng(0))


DRAWS = 4000
CHI_4 = 18.5  # of a true null, one statistic in 1000 is larger: 4 degrees of freedom
CHI_11 = 31.3  # 11 degrees of freedom


def first_picks(
    batcher: PowerBatcher | SoftmaxBatcher, scores: np.ndarray
) -> np.ndarray:
    given = shortlist(np.zeros((len(scores), 0)), scores=scores)
    rng = np.random.default_rng(0)
    rows = [int(batcher.pick(given, 1, rng)[0]) for _ in range(DRAWS)]
    return np.bincount(rows, minlength=len(scores))


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_power_draws_in_proportion_to_the_power_of_the_score(beta: float) -> None:
    scores = np.array([1.0, 0.8, 0.5, 0.3, 0.2], np.float32)

    counts = first_picks(PowerBatcher(beta), scores)

    assert chi_square(counts, scores.astype(np.float64) ** beta) < CHI_4


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_softmax_draws_in_proportion_to_the_exponential_score(beta: float) -> None:
    scores = np.array([1.0, 0.8, 0.5, 0.3, 0.0], np.float32)

    counts = first_picks(SoftmaxBatcher(beta), scores)

    assert chi_square(counts, np.exp(beta * scores.astype(np.float64))) < CHI_4


def test_pairs_are_drawn_one_after_the_other_without_replacement() -> None:
    weight = np.array([4.0, 3.0, 2.0, 1.0]) / 10
    rng = np.random.default_rng(0)

    rows = np.array([draw(np.log(weight), 2, rng) for _ in range(DRAWS)])

    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    counts = np.array([((rows == pair).all(axis=1)).sum() for pair in pairs])
    expected = [
        weight[i] * weight[j] * (1 / (1 - weight[i]) + 1 / (1 - weight[j]))
        for i, j in pairs
    ]
    assert chi_square(counts, np.array(expected)) < CHI_11


def test_scores_of_zero_are_drawn_last_and_by_row() -> None:
    scores = np.array([1e-30, 0, 0, 1e-35, 0], np.float32)
    given = shortlist(np.zeros((5, 0)), scores=scores)

    for seed in range(20):
        assert picks(PowerBatcher(), given, 2, seed) == [0, 3]
        assert picks(PowerBatcher(), given, 3, seed) == [0, 1, 3]


def test_the_coldest_power_is_top() -> None:
    given = shortlist(np.zeros((20, 0)))

    assert picks(PowerBatcher(1e6), given, 7) == list(range(7))
    assert picks(SoftmaxBatcher(1e6), given, 7) == list(range(7))
