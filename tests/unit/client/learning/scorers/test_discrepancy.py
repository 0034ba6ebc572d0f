import math

import numpy as np
import pytest

from fedask.client.learning.scorers.discrepancy import (
    disagreement,
    fairness_mix,
    kafal,
)
from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError


def softmax(row: list[float]) -> list[float]:
    exp = [math.exp(z - max(row)) for z in row]
    return [e / sum(exp) for e in exp]


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def slow_kafal(local: list[float], global_: list[float], counts: list[int]) -> float:
    prior = [math.log(n + 1) for n in counts]
    p = softmax([z + w for z, w in zip(local, prior, strict=True)])
    q = softmax([z + w for z, w in zip(global_, prior, strict=True)])
    return 1 - math.exp(-(kl(q, p) + kl(p, q)) / 2)


def slow_js(p: list[float], q: list[float]) -> float:
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, m) + kl(q, m)) / 2 / math.log(2)


def predictions(n: int, c: int, sharpness: float, seed: int) -> Reals:
    logits = np.random.default_rng(seed).normal(0, sharpness, (n, c))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Reals = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


@pytest.mark.parametrize("c", [2, 5, 40])
@pytest.mark.parametrize("spread", [0.1, 1.0, 6.0])
def test_kafal_equals_a_slow_reference(c: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    local, global_ = rng.normal(0, spread, (2, 100, c)).astype(np.float32)
    counts = rng.integers(0, 50, c)
    counts[0] = 0

    scores = kafal(local, global_, counts)

    rows = zip(
        local.astype(np.float64).tolist(),
        global_.astype(np.float64).tolist(),
        strict=True,
    )
    expected = [slow_kafal(p, q, counts.tolist()) for p, q in rows]
    np.testing.assert_allclose(scores, expected, atol=3e-6)


def test_kafal_by_hand() -> None:
    # Counts 0 and 2 make the odds 1 : 3 of equal logits, and 1 : 1 of logits log 3, 0:
    # P = (1/4, 3/4), Q = (1/2, 1/2), KL(P|Q) + KL(Q|P) = (1/4) log 3.
    local = np.zeros((1, 2), dtype=np.float32)
    global_ = np.array([[math.log(3), 0]], dtype=np.float32)

    scores = kafal(local, global_, np.array([0, 2]))

    assert scores[0] == pytest.approx(1 - math.exp(-math.log(3) / 8), abs=1e-7)


def test_a_class_the_device_has_never_seen_gives_no_nan() -> None:
    # The released code adds log 0 and multiplies 0 by the infinity that comes of it.
    rng = np.random.default_rng(0)
    local, global_ = rng.normal(0, 3, (2, 50, 4)).astype(np.float32)

    for counts in ([0, 0, 0, 0], [7, 0, 0, 9]):
        scores = kafal(local, global_, np.array(counts))

        assert np.isfinite(scores).all()
        assert scores.min() > 0.0


def test_a_rare_class_counts_less() -> None:
    # The models differ over class 0 alone; the more it was seen, the more that says.
    local = np.array([[2, 0, 0]], dtype=np.float32)
    global_ = np.array([[0, 0, 0]], dtype=np.float32)

    rare, common = (kafal(local, global_, np.array([n, 20, 20]))[0] for n in (0, 20))

    assert rare < common


def test_very_different_logits_score_one_without_overflow() -> None:
    local = np.array([[3e4, -3e4]], dtype=np.float32)

    assert kafal(local, -local, np.array([1, 1])).tolist() == [1.0]


@pytest.mark.parametrize(
    "counts", [np.array([1, 2]), np.array([1, -1, 2]), np.array([[1, 2, 3]])]
)
def test_counts_that_do_not_fit_are_refused(
    counts: np.typing.NDArray[np.int64],
) -> None:
    with pytest.raises(ConfigError, match="needs 3 class counts of at least 0"):
        kafal(np.zeros((4, 3)), np.zeros((4, 3)), counts)


@pytest.mark.parametrize("c", [2, 5, 40])
@pytest.mark.parametrize("sharpness", [0.1, 2.0, 60.0])
def test_disagreement_equals_a_slow_reference(c: int, sharpness: float) -> None:
    local, global_ = (predictions(100, c, sharpness, seed) for seed in (0, 1))

    scores = disagreement(local, global_)

    rows = zip(
        local.astype(np.float64).tolist(),
        global_.astype(np.float64).tolist(),
        strict=True,
    )
    np.testing.assert_allclose(scores, [slow_js(p, q) for p, q in rows], atol=1e-6)


def test_scipys_jensen_shannon_distances_come_out() -> None:
    # Documentation of scipy.spatial.distance.jensenshannon: the root of the divergence.
    local = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=np.float32)
    global_ = np.array([[0, 1, 0], [0.5, 0.5, 0], [1, 0, 0]], dtype=np.float32)

    scores = disagreement(local, global_)

    assert scores[0] == 1.0
    # In nats there, in units of log 2 here.
    assert math.sqrt(scores[1] * math.log(2)) == pytest.approx(0.46450140402, abs=1e-7)
    assert scores[2] == 0.0


def test_equal_predictions_score_exactly_zero() -> None:
    probs = predictions(300, 7, 2.0, 0)

    assert disagreement(probs, probs).tolist() == [0.0] * 300


def test_which_model_is_local_does_not_matter() -> None:
    p, q = (predictions(300, 7, 2.0, seed) for seed in (0, 1))

    np.testing.assert_allclose(disagreement(p, q), disagreement(q, p), atol=1e-6)


GLOBAL = np.array([[0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.1, 0.9]])
LOCAL = np.array([[0.9, 0.1], [0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
LABELS = np.array([0, 0, 0, 1])


def test_fairness_by_hand() -> None:
    # Class means (0.6, 0.4) and (0.1, 0.9) of the global model: balanced mean
    # (0.35, 0.65). Local: (0.7, 0.3), (0.2, 0.8), mean (0.45, 0.55).
    mix = fairness_mix(GLOBAL, LOCAL, LABELS, 2)

    distance = (0.1 / 0.8 + 0.1 / 1.2) / 2
    assert mix == pytest.approx(1 - (distance + 0.35 / 0.65) / 2)


def test_two_equal_models_of_a_balanced_fleet_ask_locally() -> None:
    # s_k = 1 - (0 + 1) / 2, below the paper's 0.75; of an imbalanced fleet it is above.
    even = np.full((4, 2), 0.5)
    tilted = np.tile([0.9, 0.1], (4, 1))

    assert fairness_mix(even, even, LABELS, 2) == 0.5
    assert fairness_mix(tilted, tilted, LABELS, 2) > 0.75


def test_classes_without_labels_do_not_count_for_the_balance() -> None:
    probs = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])

    mix = fairness_mix(probs, probs, np.array([0, 1]), 3)

    assert mix == 0.5  # even where there are labels, and no distance


@pytest.mark.parametrize("labels", [[], [0, 0, 0, 2], [0, 0, -1, 1]])
def test_missing_or_impossible_labels_are_refused(labels: list[int]) -> None:
    rows = len(labels)
    with pytest.raises(DataError, match=r"at least one label, all in \[0, 2\)"):
        fairness_mix(GLOBAL[:rows], LOCAL[:rows], np.array(labels, dtype=np.int64), 2)


def test_predictions_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must predict \(4, 3\)"):
        fairness_mix(GLOBAL, LOCAL, LABELS, 3)
    with pytest.raises(ConfigError, match="local_probs has 4, global_probs has 3"):
        disagreement(LOCAL, GLOBAL[:3])


def test_a_class_that_both_models_rule_out_makes_no_difference() -> None:
    rng = np.random.default_rng(2)
    local, global_ = rng.normal(size=(2, 5, 4)).astype(np.float32)
    counts = np.array([3, 0, 7, 1])
    expected = kafal(local[:, 1:], global_[:, 1:], counts[1:])

    local[:, 0] = global_[:, 0] = -np.inf

    np.testing.assert_allclose(kafal(local, global_, counts), expected, rtol=1e-6)


def test_a_class_that_one_model_alone_rules_out_is_the_largest_difference() -> None:
    local, global_ = np.zeros((2, 3, 4), dtype=np.float32)
    local[:, 1] = -np.inf

    assert kafal(local, global_, np.ones(4, dtype=np.int64)).tolist() == [1, 1, 1]


def test_models_that_allow_one_class_score_by_which_it_is() -> None:
    one, other = (np.full((2, 3), -np.inf, dtype=np.float32) for _ in range(2))
    one[:, 2] = other[0, 2] = other[1, 0] = 0.5

    assert kafal(one, other, np.array([0, 4, 1])).tolist() == [0, 1]
