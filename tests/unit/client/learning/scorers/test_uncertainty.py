import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.learning.scorers import uncertainty
from fedask.client.learning.scorers.uncertainty import entropy, least_confidence, margin
from fedask.common.errors import ConfigError

Probs = NDArray[np.floating[Any]]
Score = Callable[..., NDArray[np.float32]]

SCORES: dict[str, Score] = {
    "margin": margin,
    "entropy": entropy,
    "least-confidence": least_confidence,
}
named = pytest.mark.parametrize("name", SCORES)


def predictions(n: int, c: int, seed: int = 0) -> NDArray[np.float32]:
    """From flat to certain: exact zeros and ones included."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, c)) * rng.choice([0.1, 1.0, 60.0], (n, 1))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.float32] = (exp / exp.sum(axis=1, keepdims=True)).astype("f4")
    return probs


def bits(scores: NDArray[np.float32]) -> list[int]:
    words: list[int] = scores.view(np.uint32).tolist()
    return words


@named
@pytest.mark.parametrize("c", [2, 3, 10, 17, 1000])
@pytest.mark.parametrize("block", [1, 64, 1000, 1 << 16])
def test_a_score_has_the_same_bits_wherever_its_row_stands(
    name: str, c: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    probs, score = predictions(103, c), SCORES[name]
    whole = score(probs)
    order = np.random.default_rng(1).permutation(len(probs))
    monkeypatch.setattr(uncertainty, "_BLOCK_NUMBERS", block)

    assert bits(score(probs)) == bits(whole)
    assert bits(score(probs[order])) == bits(whole[order])
    alone = [score(probs[row : row + 1])[0] for row in range(len(probs))]
    assert bits(np.array(alone)) == bits(whole)
    assert bits(np.concatenate([score(probs[:50]), score(probs[50:])])) == bits(whole)


@named
@pytest.mark.parametrize("threads", [1, 2, 3, 16, None])
def test_a_score_has_the_same_bits_on_any_number_of_threads(
    name: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "_BLOCK_NUMBERS", 70)  # ten blocks
    probs, score = predictions(97, 7), SCORES[name]

    assert bits(score(probs, threads=threads)) == bits(score(probs, threads=1))


@named
@pytest.mark.parametrize("c", [2, 10, 33])
def test_a_score_has_the_same_bits_in_any_layout(name: str, c: int) -> None:
    probs, score = predictions(300, c), SCORES[name]
    wide = np.zeros((600, 2 * c), dtype=np.float32)
    wide[::2, ::2] = probs
    layouts = {
        "columns first": np.asfortranarray(probs),
        "every other of each": wide[::2, ::2],
        "backwards": probs[::-1].copy()[::-1],
        "double": probs.astype(np.float64),
        "big endian": probs.astype(">f4"),
    }

    for layout, other in layouts.items():
        assert bits(score(other)) == bits(score(probs)), layout


@named
def test_half_precision_is_scored_as_the_same_numbers_in_single(name: str) -> None:
    half, score = predictions(300, 10).astype(np.float16), SCORES[name]

    assert bits(score(half)) == bits(score(half.astype(np.float32)))


@named
@pytest.mark.parametrize("n", [0, 1, 5])
def test_one_class_leaves_nothing_to_be_uncertain_about(name: str, n: int) -> None:
    scores = SCORES[name](np.ones((n, 1), dtype=np.float32))

    assert scores.dtype == np.float32
    assert scores.tolist() == [0.0] * n


@named
@pytest.mark.parametrize("c", [1, 2, 5])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_visible(name: str, c: int, bad: float) -> None:
    probs = predictions(4, c)
    probs[2] = bad

    scores = SCORES[name](probs)

    good = np.isfinite(scores)
    assert good[[0, 1, 3]].all()
    # Infinity may end as the clip's 0 or as NaN, never as a reason to ask.
    assert not good[2] or scores[2] == 0.0
    assert not (np.isnan(bad) and good[2])


@named
@pytest.mark.parametrize("shape", [(3, 0), (0, 0), (5,), (2, 3, 4)])
def test_what_is_no_matrix_of_classes_is_refused(
    name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"must be \(samples, classes\)"):
        SCORES[name](np.zeros(shape, dtype=np.float32))


@named
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_beyond_the_result_does_not_grow_with_the_rows(
    name: str, threads: int
) -> None:
    extra = []
    for n in (100_000, 1_000_000):
        probs = np.full((n, 10), 0.1, dtype=np.float16)
        tracemalloc.start()
        try:
            scores = SCORES[name](probs, threads=threads)
            extra.append(tracemalloc.get_traced_memory()[1] - scores.nbytes)
        finally:
            tracemalloc.stop()

    # Two buffers of a quarter MiB per thread, at any n.
    assert max(extra) < threads * 600_000


def test_margin_finds_the_two_largest_wherever_they_are() -> None:
    # All pairs of places, and equal ones: a fold must not lose a loser.
    for c in range(2, 20):
        places = [(i, j) for i in range(c) for j in range(c) if i != j]
        probs = np.full((len(places), c), 0.01, dtype=np.float32)
        for row, (first, second) in enumerate(places):
            probs[row, first], probs[row, second] = 0.5, 0.25

        assert margin(probs).tolist() == [0.75] * len(places)
    assert margin(np.full((1, 9), 1 / 9, dtype=np.float32)).tolist() == [1.0]
