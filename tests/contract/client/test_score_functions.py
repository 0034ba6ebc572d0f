"""What every score function promises, whatever it means."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.scorers.committee import (
    bald,
    consensus_entropy,
    flips,
    max_kl,
    variation_ratio,
    vote_entropy,
)
from fedask.client.learning.scorers.consequence import consequence
from fedask.client.learning.scorers.density import (
    center_distance,
    coverage,
    information_density,
    scale_of,
    typicality,
)
from fedask.client.learning.scorers.discrepancy import disagreement, kafal
from fedask.client.learning.scorers.energy import energy
from fedask.client.learning.scorers.gradient import (
    expected_gradient_length,
    gradient_norm,
)
from fedask.client.learning.scorers.learned_scorer import fit_value, predict_value
from fedask.client.learning.scorers.row_blocks import Reals, Scores

MEMBERS = 4


def normal(n: int, width: int, seed: int) -> Reals:
    return np.random.default_rng(seed).normal(0, 3, (n, width))


def softmax(logits: Reals) -> Reals:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: Reals = exp / exp.sum(axis=-1, keepdims=True)
    return probs


def one_probs(n: int, c: int) -> list[Reals]:
    return [softmax(normal(n, c, 1))]


def two_probs(n: int, c: int) -> list[Reals]:
    return [softmax(normal(n, c, 1)), softmax(normal(n, c, 2))]


def two_logits(n: int, c: int) -> list[Reals]:
    return [normal(n, c, 1), normal(n, c, 2)]


def one_logits(n: int, c: int) -> list[Reals]:
    return [normal(n, c, 1)]


def probs_and_features(n: int, c: int) -> list[Reals]:
    return [softmax(normal(n, c, 1)), normal(n, 2 * c, 2)]


def draws(n: int, c: int) -> list[Reals]:
    return [softmax(normal(MEMBERS * n, c, 1).reshape(MEMBERS, n, c))]


def features(n: int, c: int) -> list[Reals]:
    # Numbers that half precision holds, so that rows of the pool equal the sample's.
    return [normal(n, c, 1).astype(np.float16).astype(np.float64)]


def descriptors(n: int, c: int) -> list[Reals]:
    return [np.random.default_rng(1).random((n, c))]


def with_sample(score: Callable[[Reals, Reals], Scores]) -> Callable[..., Scores]:
    """Compare with 40 rows, the first of which are rows of the pool as well."""

    def call(rows: Reals) -> Scores:
        width = rows.shape[1]
        sample = np.concatenate([features(5, width)[0], normal(35, width, 9)])
        return score(rows, sample)

    return call


def with_costs(probs: Reals) -> Scores:
    costs = np.abs(normal(probs.shape[1], probs.shape[1], 4))
    np.fill_diagonal(costs, 0)
    return consequence(probs, costs)


def with_counts(local: Reals, global_: Reals) -> Scores:
    return kafal(local, global_, np.arange(local.shape[1]))


def with_weights(rows: Reals) -> Scores:
    known = np.random.default_rng(3).random((30, rows.shape[1]))
    return predict_value(fit_value(known, known[:, 0] - 0.3, strength=0.1), rows)


@dataclass(frozen=True)
class Case:
    score: Callable[..., Scores]
    inputs: Callable[[int, int], list[Reals]]
    axis: int = 0  # which axis of the inputs counts samples
    classes: bool = True  # whether the width is a number of classes


CASES = {
    "bald": Case(bald, draws, axis=1),
    "consensus_entropy": Case(consensus_entropy, draws, axis=1),
    "flips": Case(flips, draws, axis=1),
    "max_kl": Case(max_kl, draws, axis=1),
    "variation_ratio": Case(variation_ratio, draws, axis=1),
    "vote_entropy": Case(vote_entropy, draws, axis=1),
    "energy": Case(energy, one_logits),
    "expected_gradient_length": Case(expected_gradient_length, probs_and_features),
    "gradient_norm": Case(gradient_norm, probs_and_features),
    "kafal": Case(with_counts, two_logits),
    "disagreement": Case(disagreement, two_probs),
    "consequence": Case(with_costs, one_probs),
    "typicality": Case(
        with_sample(lambda x, s: typicality(x, s, scale_of(s), 7)),
        features,
        classes=False,
    ),
    "coverage": Case(
        with_sample(lambda x, s: coverage(x, s, s[30:], 1.2 * scale_of(s))),
        features,
        classes=False,
    ),
    "center_distance": Case(
        with_sample(lambda x, s: center_distance(x, s, scale_of(s))),
        features,
        classes=False,
    ),
    "information_density": Case(
        with_sample(lambda x, s: information_density(x, s, 2.0)),
        features,
        classes=False,
    ),
    "predict_value": Case(with_weights, descriptors, classes=False),
}
every = pytest.mark.parametrize("name", CASES)
# 8 and more: numpy sums in pairs; more than 32: the functions change how they sum.
widths = pytest.mark.parametrize("width", [2, 5, 11, 40])


def single(arrays: list[Reals]) -> list[Reals]:
    return [array.astype(np.float32) for array in arrays]


def take(
    case: Case, arrays: list[Reals], rows: slice | NDArray[np.integer]
) -> list[Reals]:
    return [array[:, rows] if case.axis else array[rows] for array in arrays]


def assert_scores(scores: Scores, n: int) -> None:
    assert scores.dtype == np.float32
    assert scores.shape == (n,)
    assert ((scores >= 0) & (scores <= 1)).all()


@every
@widths
def test_scores_are_float32_in_the_unit_interval(name: str, width: int) -> None:
    case = CASES[name]

    scores = case.score(*single(case.inputs(400, width)))

    assert_scores(scores, 400)
    assert len(np.unique(scores)) > 1


@every
@widths
def test_permuted_rows_give_the_same_bits(name: str, width: int) -> None:
    case = CASES[name]
    arrays = single(case.inputs(1700, width))
    order = np.random.default_rng(0).permutation(1700)

    scores = case.score(*arrays)

    assert np.array_equal(case.score(*take(case, arrays, order)), scores[order])


@every
@widths
@pytest.mark.parametrize("batch", [1, 2, 3, 17])
def test_a_row_scores_the_same_bits_in_every_batch(
    name: str, width: int, batch: int
) -> None:
    case = CASES[name]
    arrays = single(case.inputs(51, width))

    parts = [
        case.score(*take(case, arrays, slice(start, start + batch)))
        for start in range(0, 51, batch)
    ]

    assert np.array_equal(np.concatenate(parts), case.score(*arrays))


@every
@widths
def test_the_order_of_memory_does_not_matter(name: str, width: int) -> None:
    case = CASES[name]
    arrays = single(case.inputs(300, width))
    scores = case.score(*arrays)

    assert np.array_equal(case.score(*map(np.asfortranarray, arrays)), scores)
    apart = [np.repeat(array, 2, axis=-1)[..., ::2] for array in arrays]
    assert np.array_equal(case.score(*apart), scores)


@every
def test_duplicates_score_alike(name: str) -> None:
    case = CASES[name]
    arrays = single(case.inputs(5, 6))

    scores = case.score(*take(case, arrays, np.arange(2000) % 5))

    assert np.array_equal(scores, scores[np.arange(2000) % 5])


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_score_as_the_same_numbers_in_float32(
    name: str, dtype: type[np.floating]
) -> None:
    case = CASES[name]
    # Numbers that all three precisions hold exactly.
    exact: list[Reals] = [array.astype(np.float16) for array in case.inputs(300, 8)]

    scores = case.score(*(array.astype(dtype) for array in exact))

    assert_scores(scores, 300)
    np.testing.assert_allclose(scores, case.score(*single(exact)), atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_inputs_are_left_alone(name: str, dtype: type[np.floating]) -> None:
    case = CASES[name]
    arrays = [array.astype(dtype) for array in case.inputs(50, 4)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False

    case.score(*arrays)

    for array, old in zip(arrays, before, strict=True):
        assert np.array_equal(array, old)


@every
@pytest.mark.parametrize("n", [0, 1])
def test_there_may_be_no_row_or_one(name: str, n: int) -> None:
    case = CASES[name]

    assert_scores(case.score(*take(case, single(case.inputs(1, 3)), slice(0, n))), n)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].classes])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_class_leaves_nothing_to_ask(name: str, dtype: type[np.floating]) -> None:
    case = CASES[name]
    arrays = [array.astype(dtype) for array in case.inputs(9, 1)]
    if name == "consequence":
        arrays.append(np.zeros((1, 1), dtype=dtype))
        scores = consequence(*arrays)
    else:
        scores = case.score(*arrays)

    assert scores.dtype == np.float32
    assert scores.tolist() == [0.0] * 9


@every
def test_exact_zeros_and_ones_are_fine(name: str) -> None:
    case = CASES[name]
    arrays = case.inputs(60, 3)
    # Winners take all; of features and costs only the sign is left.
    hard = [np.where(a == a.max(axis=-1, keepdims=True), 1.0, 0.0) for a in arrays]
    hard = [np.ones_like(a) if a.ndim == 1 else a for a in hard]

    assert_scores(case.score(*single(hard)), 60)


@every
def test_nan_is_not_hidden_and_stays_in_its_row(name: str) -> None:
    case = CASES[name]
    arrays = single(case.inputs(40, 4))
    scores = case.score(*arrays)
    broken = [array.copy() for array in arrays]
    for array in broken:
        array[(-1,) * case.axis + (7, 2)] = np.nan  # of a committee, the last member

    after = case.score(*broken)

    assert np.isnan(after[7])
    assert np.array_equal(np.delete(after, 7), np.delete(scores, 7))


@pytest.mark.slow
@every
def test_a_million_rows_need_a_few_mebibytes(name: str) -> None:
    case = CASES[name]
    few = single(case.inputs(1000, 3))
    places = np.arange(1_000_000) % 1000
    arrays = take(case, few, places)

    tracemalloc.start()
    try:
        scores = case.score(*arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert np.array_equal(scores, case.score(*few)[places])
    assert peak - scores.nbytes < 3 * 2**20
