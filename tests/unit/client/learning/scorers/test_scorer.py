import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.views import scored

from fedask.client.learning.scorers.scorer import Floats, check_scores
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.scorers.uncertainty import entropy, least_confidence, margin
from fedask.common.errors import ConfigError

Score = Callable[[Floats], Floats]

UNCERTAINTY: dict[str, Score] = {
    "margin": margin,
    "entropy": entropy,
    "least-confidence": least_confidence,
}
# c float32 numbers of at most 1 lose at most c units in the last place when summed.
ULP = 2.0**-23


def slow_margin(row: list[float]) -> float:
    first, second = sorted(row, reverse=True)[:2]
    return 1.0 - (first - second)


def slow_entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p > 0) / math.log(len(row))


def slow_least_confidence(row: list[float]) -> float:
    return (1.0 - max(row)) / (1.0 - 1.0 / len(row))


SLOW = {
    "margin": slow_margin,
    "entropy": slow_entropy,
    "least-confidence": slow_least_confidence,
}
named = pytest.mark.parametrize("name", UNCERTAINTY)


def predictions(n: int, c: int, sharpness: float, seed: int = 0) -> Floats:
    logits = np.random.default_rng(seed).normal(0, sharpness, (n, c))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Floats = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


def uids_of(n: int) -> NDArray[np.str_]:
    words = np.random.default_rng(5).integers(0, 2**63, n)
    return np.array([f"{int(w):016x}" * 2 for w in words])


@named
@pytest.mark.parametrize("c", [2, 3, 10, 100])
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 40.0])  # 40: exact zeros and ones
def test_scores_equal_a_slow_reference(name: str, c: int, sharpness: float) -> None:
    probs = predictions(200, c, sharpness)

    scores = UNCERTAINTY[name](probs)

    expected = [SLOW[name](row) for row in probs.astype(np.float64).tolist()]
    assert scores.dtype == np.float32
    assert scores.shape == (200,)
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0
    np.testing.assert_allclose(scores, np.clip(expected, 0, 1), atol=c * ULP)


@named
@pytest.mark.parametrize("c", [2, 3, 7, 1000])
def test_a_uniform_prediction_scores_one(name: str, c: int) -> None:
    scores = UNCERTAINTY[name](np.full((2, c), 1 / c, dtype=np.float32))

    np.testing.assert_allclose(scores, 1.0, atol=c * ULP)


@named
@pytest.mark.parametrize("c", [2, 3, 7])
def test_a_certain_prediction_scores_exactly_zero(name: str, c: int) -> None:
    scores = UNCERTAINTY[name](np.eye(c, dtype=np.float32))

    assert scores.tolist() == [0.0] * c


@named
def test_an_exact_zero_does_not_lift_the_certain_above_the_uncertain(name: str) -> None:
    # libact scores [1, 0, 0] NaN, and argmax picks it first.
    probs = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]], dtype=np.float32)

    scores = UNCERTAINTY[name](probs)

    assert np.isfinite(scores).all()
    assert scores.argmin() == 0
    assert scores[0] == 0.0


@named
def test_two_classes_rank_alike_under_every_score(name: str) -> None:
    p = np.linspace(0.5, 1.0, 101, dtype=np.float32)
    scores = UNCERTAINTY[name](np.stack([p, 1 - p], axis=1))

    assert (np.diff(scores) < 0).all()
    assert scores[0] == 1.0
    assert scores[-1] == 0.0


@named
def test_half_precision_probabilities_are_not_normalised_again(name: str) -> None:
    # Baal soft-maxes rows whose sum is off by 1e-5: entropy ln 100, top 100 lost.
    probs = predictions(2000, 100, 3.0)
    half = probs.astype(np.float16)
    assert np.abs(half.astype(np.float64).sum(axis=1) - 1).max() > 1e-5

    scores, rounded = UNCERTAINTY[name](probs), UNCERTAINTY[name](half)  # type: ignore[arg-type]

    assert rounded.dtype == np.float32
    # float16 keeps 11 bits: each of the few large probabilities is off by 2**-12.
    np.testing.assert_allclose(rounded, scores, atol=4e-3)
    top, top_rounded = (set(s.argsort()[-100:].tolist()) for s in (scores, rounded))
    assert len(top & top_rounded) >= 95


@named
def test_permuted_classes_leave_the_scores(name: str) -> None:
    probs = predictions(300, 5, 1.0)

    scores = UNCERTAINTY[name](probs[:, [3, 0, 4, 1, 2]])

    np.testing.assert_allclose(scores, UNCERTAINTY[name](probs), atol=5 * ULP)


def test_the_example_of_modals_documentation_comes_out() -> None:
    # modAL docs, "Uncertainty sampling": 1 - max p, margin, entropy in nats, of a
    # classifier that gives these three rows. Here: scaled to [0, 1], higher = ask.
    probs = np.array(
        [[0.1, 0.85, 0.05], [0.6, 0.3, 0.1], [0.39, 0.61, 0.0]], dtype=np.float32
    )

    np.testing.assert_allclose(
        least_confidence(probs), np.array([0.15, 0.4, 0.39]) * 3 / 2, atol=4 * ULP
    )
    np.testing.assert_allclose(
        margin(probs), 1 - np.array([0.75, 0.3, 0.22]), atol=4 * ULP
    )
    np.testing.assert_allclose(
        entropy(probs) * math.log(3),
        [0.5181862, 0.89794572, 0.66874809],
        atol=4 * ULP,
    )


def test_the_horse_race_has_two_bits() -> None:
    # Cover and Thomas, "Elements of information theory", example 1.1.2: eight horses.
    probs = np.array([[1 / 2, 1 / 4, 1 / 8, 1 / 16, *[1 / 64] * 4]], dtype=np.float32)

    assert float(entropy(probs)[0]) * 3 == pytest.approx(2.0, abs=8 * ULP)


def test_random_scores_ignore_the_prediction_but_not_the_salt() -> None:
    uids, scorer = uids_of(4000), make_scorer("random")
    flat, sharp = predictions(4000, 3, 0.0), predictions(4000, 3, 40.0)

    scores = scored(scorer, flat, uids, 1)

    assert np.array_equal(scores, scored(scorer, sharp, uids, 1))
    other = scored(scorer, flat, uids, 2)
    # 4000 uniform pairs: the correlation is within 5 / sqrt(4000) of 0.
    assert abs(np.corrcoef(scores, other)[0, 1]) < 0.08
    assert np.histogram(scores, bins=8, range=(0, 1))[0].min() > 400


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.5, float("nan")], "gave NaN or a score outside"),
        ([0.5, float("inf")], "gave NaN or a score outside"),
        ([0.5, -1e-7], "gave NaN or a score outside"),
        ([1.0000001, 0.5], "gave NaN or a score outside"),
        ([0.5], r"gave shape \(1,\) for 2 samples"),
        ([0.5, 0.5, 0.5], r"gave shape \(3,\) for 2 samples"),
        ([[0.5], [0.5]], r"gave shape \(2, 1\) for 2 samples"),
    ],
)
def test_faulty_scores_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=f"scorer 'mine' {message}"):
        check_scores("mine", np.array(scores, dtype=np.float32), 2)


def test_the_ends_of_the_range_are_fine() -> None:
    check_scores("mine", np.array([0.0, 1.0], dtype=np.float32), 2)


@named
def test_a_model_that_gives_nan_is_not_hidden_by_the_clip(name: str) -> None:
    probs = np.array([[0.5, 0.5], [np.nan, np.nan]], dtype=np.float32)

    with pytest.raises(ConfigError, match="gave NaN"):
        check_scores(name, UNCERTAINTY[name](probs), 2)


def test_an_unknown_scorer_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown scorer 'entropi'.*'entropy'"):
        make_scorer("entropi")
