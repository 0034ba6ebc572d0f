"""What the selection benchmark lets libraries choose from, and whether they chose well.

Each case makes its arrays from a seed and judges a choice by a slow float64 reference
of its own, which no library's code touches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]
Rows = NDArray[np.int64]
Doubles = NDArray[np.float64]

_PIECE = 65_536  # rows turned to float64 at once
_SCORE_SLACK = 1e-5  # c float32 terms, summed in any order, are off by less
_RADIUS_SLACK = 1.01  # near ties may lead greedy down another, equally good path
_POTENTIAL_SLACK = 1.05  # between seeds k-means++ varies by 1 to 2 %
_SEEDS = range(3)
_SCORED = (
    ("margin", 10),
    ("entropy", 10),
    ("least-confidence", 10),
    ("margin", 100),
    ("entropy", 100),
)


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what is wrong with a choice.

    Parameters
    ----------
    count
        Rows there were.
    cost
        Of a choice; lower is better.
    bar
        The highest cost of a correct choice.
    """

    count: int
    cost: Callable[[Rows], float]
    bar: float

    def fault(self, rows: Rows, k: int) -> str:
        """Return why the choice is wrong, or ""."""
        if rows.shape != (k,):
            return f"{rows.shape} rows instead of {k}"
        if len(np.unique(rows)) < k:
            return f"{k - len(np.unique(rows))} rows twice"
        if rows.min() < 0 or rows.max() >= self.count:
            return "rows that are not there"
        cost = self.cost(rows)
        return "" if cost <= self.bar else f"cost {cost:.6g} > {self.bar:.6g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One choice to make.

    Parameters
    ----------
    name
        As printed, sizes included.
    kind
        What is chosen by: a key of ``contenders.CONTENDERS[library]``.
    k
        How many rows to choose.
    make
        Draws the input arrays.
    judge
        Prepares the judge of a choice of k from the arrays.
    """

    name: str
    kind: str
    k: int
    make: Callable[[np.random.Generator], Arrays]
    judge: Callable[[Arrays, int], Judge]


def cases(*, small: bool) -> list[Case]:
    """List all cases; ``small`` makes them about twenty times smaller."""
    n, k, by = (50_000, 100, 20) if small else (1_000_000, 1000, 1)
    scored = [
        Case(
            name=f"{kind}: {k} of {n} x {c}",
            kind=kind,
            k=k,
            make=partial(_predicted, n, c),
            judge=partial(top_judge, kind, "probs"),
        )
        for kind, c in _SCORED
    ]
    return [
        *scored,
        Case(
            name=f"k-center: {500 // by} of {50_000 // by} x 128, {100 // by} labelled",
            kind="k-center",
            k=500 // by,
            make=partial(_covered, 50_000 // by, 100 // by),
            judge=core_set_judge,
        ),
        Case(
            name=f"badge: {500 // by} of {20_000 // by} x (10 x 128)",
            kind="badge",
            k=500 // by,
            make=partial(_embedded, 20_000 // by),
            judge=badge_judge,
        ),
        Case(
            name=f"bald: {k} of 20 x {100_000 // by} x 10",
            kind="bald",
            k=k,
            make=partial(_drawn, 100_000 // by),
            judge=partial(top_judge, "bald", "draws"),
        ),
    ]


def _predicted(n: int, c: int, rng: np.random.Generator) -> Arrays:
    return {"probs": predictions(rng, (n, c))}


def _covered(n: int, labelled: int, rng: np.random.Generator) -> Arrays:
    return {"features": mixture(rng, n, 128), "labelled": mixture(rng, labelled, 128)}


def _embedded(n: int, rng: np.random.Generator) -> Arrays:
    return {"features": mixture(rng, n, 128), "probs": predictions(rng, (n, 10))}


def _drawn(n: int, rng: np.random.Generator) -> Arrays:
    return {"draws": draws(rng, 20, n, 10)}


def predictions(rng: np.random.Generator, shape: Sequence[int]) -> NDArray[np.float32]:
    """Draw rows that sum to one, from flat to nearly certain."""
    probs = rng.standard_normal(tuple(shape), dtype=np.float32)
    probs *= 3.0 * rng.random((*shape[:-1], 1), dtype=np.float32)
    np.exp(probs, out=probs)
    probs /= probs.sum(axis=-1, keepdims=True)
    return probs


def draws(
    rng: np.random.Generator, members: int, n: int, c: int
) -> NDArray[np.float32]:
    """Draw a committee's predictions, (t, n, c): one opinion and noise of a member."""
    logits = 2.0 * rng.standard_normal((n, c), dtype=np.float32)
    noise = rng.standard_normal((members, n, c), dtype=np.float32)
    noise *= rng.random((n, 1), dtype=np.float32)
    noise += logits
    np.exp(noise, out=noise)
    noise /= noise.sum(axis=-1, keepdims=True)
    return noise


def mixture(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float32]:
    """Draw features from a hundred clusters of unequal size and the same shape."""
    centres = np.random.default_rng(0).normal(0, 2, (100, d)).astype(np.float32)
    share = rng.dirichlet(np.full(100, 0.5))
    features = centres[rng.choice(100, n, p=share)]
    features += rng.standard_normal((n, d), dtype=np.float32)
    return features


def top_judge(kind: str, field: str, arrays: Arrays, k: int) -> Judge:
    """Judge by the lowest score chosen: it must be the k-th highest of all."""
    given = arrays[field]
    count = given.shape[-2]
    scores = np.empty(count)
    for start in range(0, count, _PIECE):
        part = given[..., start : start + _PIECE, :].astype(np.float64)
        scores[start : start + _PIECE] = _SCORES[kind](part)
    last = float(np.partition(scores, -k)[-k])
    return Judge(count, lambda rows: -float(scores[rows].min()), _SCORE_SLACK - last)


def _entropy(probs: Doubles) -> Doubles:
    logs = np.log(np.where(probs > 0, probs, 1.0))
    total: Doubles = -(probs * logs).sum(axis=-1)
    return total


def _margin(probs: Doubles) -> Doubles:
    ordered = np.sort(probs, axis=-1)
    gap: Doubles = 1.0 - (ordered[..., -1] - ordered[..., -2])
    return gap


_SCORES: Mapping[str, Callable[[Doubles], Doubles]] = {
    "margin": _margin,
    "entropy": _entropy,
    "least-confidence": lambda probs: 1.0 - probs.max(axis=-1),
    "bald": lambda probs: _entropy(probs.mean(axis=0)) - _entropy(probs).mean(axis=0),
}


def core_set_judge(arrays: Arrays, k: int) -> Judge:
    """Judge by the covering radius: the greedy algorithm's own, in float64."""
    points = arrays["features"].astype(np.float64)
    norms = (points * points).sum(axis=1)

    def gaps(centre: NDArray[Any]) -> Doubles:
        squared: Doubles = norms - 2.0 * points @ centre + centre @ centre
        return np.maximum(squared, 0.0)

    start = np.full(len(points), np.inf)
    for centre in arrays["labelled"].astype(np.float64):
        np.minimum(start, gaps(centre), out=start)

    def radius(rows: Rows) -> float:
        nearest = start.copy()
        for row in rows:
            np.minimum(nearest, gaps(points[row]), out=nearest)
        return float(np.sqrt(nearest.max()))

    nearest = start.copy()
    for _ in range(k):
        np.minimum(nearest, gaps(points[nearest.argmax()]), out=nearest)
    best = float(np.sqrt(nearest.max()))
    return Judge(len(points), radius, best * _RADIUS_SLACK)


def badge_judge(arrays: Arrays, k: int) -> Judge:
    """Judge by what is left to cover of the gradients: k-means++'s own, in float64."""
    h = arrays["features"].astype(np.float64)
    a = arrays["probs"].astype(np.float64)
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1.0
    norms = (a * a).sum(axis=1) * (h * h).sum(axis=1)

    def gaps(row: int) -> Doubles:
        squared: Doubles = norms + norms[row] - 2.0 * (a @ a[row]) * (h @ h[row])
        return np.maximum(squared, 0.0)

    def potential(rows: Rows) -> float:
        nearest = norms.copy() + np.inf
        for row in rows:
            np.minimum(nearest, gaps(int(row)), out=nearest)
        return float(nearest.sum())

    def draw(seed: int) -> float:
        rng = np.random.default_rng(seed)
        row, nearest = int(norms.argmax()), norms + np.inf
        for _ in range(k):
            np.minimum(nearest, gaps(row), out=nearest)
            row = int(rng.choice(len(a), p=nearest / nearest.sum()))
        return float(nearest.sum())

    usual = float(np.mean([draw(seed) for seed in _SEEDS]))
    return Judge(len(a), potential, usual * _POTENTIAL_SLACK)
