import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedask.client.learning.scorers.gradient import (
    expected_gradient_length,
    gradient_norm,
)
from fedask.client.learning.scorers.row_blocks import Reals, Scores
from fedask.common.errors import ConfigError

Score = Callable[[Reals, Reals], Scores]
both = pytest.mark.parametrize("score", [expected_gradient_length, gradient_norm])


def length(scores: Scores) -> Reals:
    """Undo the map: ``x = s / (1 - s)``."""
    exact = scores.astype(np.float64)
    return exact / (1 - exact)


def layer(n: int, c: int, d: int) -> tuple[torch.nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.Linear(d, c), torch.randn(n, d)


def gradient(linear: torch.nn.Linear, row: torch.Tensor, label: int) -> list[float]:
    """Run one backward pass: every number of the gradient, weights then bias."""
    linear.zero_grad()
    loss = torch.nn.functional.cross_entropy(linear(row)[None], torch.tensor([label]))
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    grads = [p.grad.flatten() for p in linear.parameters() if p.grad is not None]
    return [float(x) for x in torch.cat(grads)]


@pytest.mark.parametrize(("c", "d"), [(2, 3), (5, 8), (40, 4)])
def test_the_expected_length_is_what_autograd_gives(c: int, d: int) -> None:
    linear, rows = layer(12, c, d)
    probs = torch.softmax(linear(rows), dim=1).detach().numpy()

    lengths = length(expected_gradient_length(probs, rows.numpy()))

    expected = [
        sum(
            float(probs[i, y]) * math.hypot(*gradient(linear, rows[i], y))
            for y in range(c)
        )
        for i in range(12)
    ]
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


@pytest.mark.parametrize(("c", "d"), [(2, 3), (5, 8), (40, 4)])
def test_the_norm_is_what_autograd_gives_for_the_weights(c: int, d: int) -> None:
    linear, rows = layer(12, c, d)
    probs = torch.softmax(linear(rows), dim=1).detach().numpy()

    lengths = length(gradient_norm(probs, rows.numpy()))

    tops = probs.argmax(axis=1).tolist()
    expected = [
        math.hypot(*gradient(linear, rows[i], tops[i])[: c * d]) for i in range(12)
    ]
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


def slow_expected_length(p: list[float], h: list[float]) -> float:
    own = sum(
        p[y] * math.sqrt(sum((p[j] - (j == y)) ** 2 for j in range(len(p))))
        for y in range(len(p))
    )
    return own * math.sqrt(sum(x * x for x in h) + 1)


def slow_norm(p: list[float], h: list[float]) -> float:
    y = p.index(max(p))
    return math.dist(p, [float(j == y) for j in range(len(p))]) * math.hypot(*h)


@pytest.mark.parametrize(
    ("score", "slow"),
    [
        (expected_gradient_length, slow_expected_length),
        (gradient_norm, slow_norm),
    ],
)
@pytest.mark.parametrize("sharpness", [0.1, 3.0, 60.0])
def test_scores_equal_a_slow_reference(
    score: Score, slow: Callable[[list[float], list[float]], float], sharpness: float
) -> None:
    rng = np.random.default_rng(0)
    exp = np.exp(rng.normal(0, sharpness, (200, 7)).clip(-80, 80))
    probs = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    features = rng.normal(0, 2, (200, 9)).astype(np.float32)

    scores = score(probs, features)

    pairs = zip(
        probs.astype(np.float64).tolist(),
        features.astype(np.float64).tolist(),
        strict=True,
    )
    x = np.array([slow(p, h) for p, h in pairs])
    # Rows of probabilities sum to 1 within 1e-7, and a root follows.
    np.testing.assert_allclose(scores, x / (1 + x), atol=2e-7)


def test_lengths_are_euclidean() -> None:
    # small-text adds absolute values: its length of the gradient (3, 4) is 7, not 5.
    # Of p = (0.5, 0.5), every |p - e_y| is sqrt(1/2); of h = (3, 4) and the bias 1,
    # the length is sqrt(26).
    probs, features = np.array([[0.5, 0.5]]), np.array([[3.0, 4.0]])

    assert length(gradient_norm(probs, features))[0] == pytest.approx(5 / math.sqrt(2))
    assert length(expected_gradient_length(probs, features))[0] == pytest.approx(
        math.sqrt(26 / 2)
    )


@both
def test_a_confident_sample_is_shorter_than_an_uncertain_one(score: Score) -> None:
    # small-text's BADGE never subtracts the label: 1.73 for a prediction of 99.9 %
    # against 1.00 for an uncertain one.
    probs = np.array([[0.999, 0.0005, 0.0005], [0.4, 0.3, 0.3]], dtype=np.float32)
    features = np.ones((2, 3), dtype=np.float32)

    scores = score(probs, features)

    assert scores[0] < 0.01
    assert scores[1] > 0.5


@both
def test_nothing_is_left_to_learn_from_a_certain_prediction(score: Score) -> None:
    scores = score(np.eye(3, dtype=np.float32), np.full((3, 2), 1e3, dtype=np.float32))

    assert scores.tolist() == [0.0] * 3


@both
def test_an_almost_certain_prediction_is_almost_zero(score: Score) -> None:
    # In single precision the small difference of squares would be 3e-4 off.
    probs = np.array([[1 - 2.0**-24, 2.0**-24]], dtype=np.float32)

    assert score(probs, np.ones((1, 1)))[0] < 3e-7


@both
def test_half_precision_features_do_not_overflow(score: Score) -> None:
    probs = np.array([[0.5, 0.5]], dtype=np.float16)
    features = np.full((1, 8), 6e4, dtype=np.float16)

    assert 0.999 < score(probs, features)[0] <= 1.0


@both
def test_predictions_and_features_of_different_samples_are_refused(
    score: Score,
) -> None:
    with pytest.raises(ConfigError, match="probs has 3, features has 2"):
        score(np.eye(3), np.ones((2, 4)))
