"""Views of given predictions, for the tests of scorers and batchers."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.records.query_outcome import OutcomeHistory

ARRAYS = [field.name for field in fields(PredictionView) if field.name != "salt"]
NOTHING = ScoringContext(counts=np.zeros(0, np.int64), targets=np.zeros(0, np.int64))


def seen(
    probs: Floats,
    uids: NDArray[np.str_],
    salt: int = 0,
    **more: Any,  # noqa: ANN401
) -> PredictionView:
    """Return the view of samples with these predictions."""
    return PredictionView(uids=uids, salt=salt, probs=probs, **more)


def scored(
    scorer: Scorer, probs: Floats, uids: NDArray[np.str_], salt: int = 0
) -> Floats:
    """Score by predictions alone."""
    return scorer(seen(probs, uids, salt), NOTHING)


def rich(
    n: int, *, c: int = 4, seed: int = 0, dtype: str = "f4"
) -> tuple[PredictionView, ScoringContext]:
    """Return a view of ``n`` samples with every field, and what goes with it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, c))
    local = logits + rng.normal(0, 1, (n, c))
    features = rng.normal(size=(n, 6))
    words = rng.integers(0, 2**63, n).tolist()
    uids = np.array([f"{word:032x}"[::-1] for word in words], dtype="U32")
    view = PredictionView(
        uids=uids,
        salt=5,
        probs=softmax(logits).astype(dtype),
        logits=logits.astype(dtype),
        features=features.astype(dtype),
        draws=np.stack([softmax(z) for z in (logits, local, local)]).astype(dtype),
        local_logits=local.astype(dtype),
        local_features=features.astype(dtype),
        costs=rng.uniform(0.1, 9, n).astype(dtype),
        descriptors=rng.random((n, 3)).astype(dtype),
    )
    anchors = rng.normal(size=(7, 6)).astype(np.float32)
    known = ScoringContext(
        counts=np.arange(c),
        targets=np.array([-1, *rng.integers(0, c, 6).tolist()]),
        anchors=anchors,
        anchor_logits=rng.normal(size=(7, c)).astype(np.float32),
        anchor_local_logits=rng.normal(size=(7, c)).astype(np.float32),
        sample=rng.normal(size=(30, 6)).astype(np.float32),
        scale=1.5,
        consequences=(1 - np.eye(c)).astype(np.float32),
        history=past(30),
    )
    return view, known


def past(n: int, q: int = 3, cycles: int = 5, seed: int = 0) -> OutcomeHistory:
    """Return a history in which the first expert knows what the model gets wrong."""
    rng = np.random.default_rng(seed)
    opinions = rng.random((n, q)).astype(np.float32)
    truths = np.clip(1 - opinions[:, 0] + rng.normal(0, 0.05, n), 0, 1)
    return OutcomeHistory(
        cycles=np.sort(rng.integers(1, cycles + 1, n)),
        descriptors=opinions,
        levels=np.full((n, q), 0.5, dtype=np.float32),
        truths=truths.astype(np.float32),
        hits=truths > 0.5,
        planned=cycles,
    )


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of logits (n, c)."""
    exp = np.exp(logits - logits.max(axis=-1, initial=-1e9, keepdims=True))
    probs: NDArray[np.float64] = exp / exp.sum(axis=-1, keepdims=True)
    return probs


def rows_of(view: PredictionView, rows: NDArray[np.int64]) -> PredictionView:
    """Return the view of some of the samples."""
    names = [name for name in ARRAYS if name != "draws"]
    filled = {name: getattr(view, name) for name in names}
    taken = {name: a[rows] if len(a) else a for name, a in filled.items()}
    return replace(view, **taken, draws=view.draws[:, rows])
