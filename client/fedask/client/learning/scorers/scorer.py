"""The seam of scorers: what a scorer is, and what it may look at.

``selection.predictor`` fills a ``PredictionView`` and a ``ScoringContext``; scorers and
batchers read them. They hold arrays only: no model, no raw sample, no store.

Letters: n samples of the batch, c classes, d features, t models of the committee,
l samples asked before, m samples of the bounded pool sample, q experts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.client.records.query_outcome import OutcomeHistory
from fedask.common.errors import ConfigError

__all__ = ["PredictionView", "Scorer", "ScoringContext"]

Floats = NDArray[np.float32]


def _nothing() -> Floats:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionView:
    """A batch of samples. Row i of every array is sample i.

    What a scorer or batcher does not list in its ``needs`` may be empty.

    Parameters
    ----------
    uids
        (n,) str.
    salt
        Seeds whatever must look random; the same for the whole fleet and cycle.
    probs
        (n, c) predictions of the global model, rows sum to one. Always there.
    logits
        (n, c) what they are the softmax of.
    features
        (n, d) what the last linear layer of the global model takes.
    draws
        (t, n, c) predictions of the committee: the last global models, oldest first,
        the current one, and last the device's own latest update.
    local_logits, local_features
        (n, c) and (n, d) of the device's own latest update; of the global model before
        there is one.
    costs
        (n,) what an answer costs, positive, in units of ``ask.cost_unit``.
    groups
        (n,) int64, in which group each is counted; empty: in its predicted class.
    descriptors
        (n, q) in [0, 1]: scores by the experts that ``ask.experts`` names.
    """

    uids: NDArray[np.str_]
    salt: int
    probs: Floats
    logits: Floats = field(default_factory=_nothing)
    features: Floats = field(default_factory=_nothing)
    draws: Floats = field(default_factory=_nothing)
    local_logits: Floats = field(default_factory=_nothing)
    local_features: Floats = field(default_factory=_nothing)
    costs: Floats = field(default_factory=_nothing)
    descriptors: Floats = field(default_factory=_nothing)
    groups: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.uids)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringContext:
    """What the device knows beside the batch; the same for a whole scoring.

    Parameters
    ----------
    counts
        (c,) int64 labels the device holds, per class.
    targets
        (l,) int64 class of each sample asked before, -1 = not answered yet.
    anchors
        (l, d) features of these samples, as ``PredictionView.features``.
    anchor_logits, anchor_local_logits
        (l, c) of these samples, as ``PredictionView.logits`` and
        ``PredictionView.local_logits``.
    sample
        (m, d) features of samples of the pool, drawn by hash.
    scale
        Usual distance between close ones of the sample; there with it.
    consequences
        (c, c) cost of predicting the column when the row is true.
    history
        What answers showed; of the same experts as ``PredictionView.descriptors``.
    """

    counts: NDArray[np.int64]
    targets: NDArray[np.int64]
    anchors: Floats = field(default_factory=_nothing)
    anchor_logits: Floats = field(default_factory=_nothing)
    anchor_local_logits: Floats = field(default_factory=_nothing)
    sample: Floats = field(default_factory=_nothing)
    scale: float = 1.0
    consequences: Floats = field(default_factory=_nothing)
    history: OutcomeHistory = field(default_factory=OutcomeHistory)


#: Fields that cost something to fill; a scorer's or batcher's ``needs`` names some.
NEEDS = frozenset(
    {
        "logits",
        "features",
        "draws",
        "local_logits",
        "local_features",
        "costs",
        "descriptors",
        "anchors",
        "anchor_logits",
        "anchor_local_logits",
        "sample",
        "consequences",
        "history",
    }
)


class Scorer(Protocol):
    """Maps the predictions of samples to scores."""

    @property
    def needs(self) -> frozenset[str]:
        """Fields of view and context that it reads besides uids, salt and probs."""

    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        """Score a batch.

        Returns
        -------
        NDArray
            (n,) float32 in [0, 1]; higher = ask sooner. The score of a sample must not
            depend on what else is in its batch.
        """


class FunctionScorer:
    """A scorer made of a function.

    Parameters
    ----------
    score
        Maps a view and its context to scores (n,).
    needs
        Fields of both that it reads besides uids, salt and probs.
    """

    def __init__(
        self,
        name: str,
        score: Callable[[PredictionView, ScoringContext], Floats],
        *needs: str,
    ) -> None:
        self.name = name
        self.needs = frozenset(needs)
        self._score = score

    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        """Score a batch, as ``Scorer`` says."""
        return self._score(view, context)


def check_needs(name: str, needs: frozenset[str]) -> None:
    """Refuse needs that are no fields of view or context.

    Raises
    ------
    ConfigError
        Naming the first of them.
    """
    unknown = sorted(needs - NEEDS)
    if unknown:
        raise ConfigError(
            f"{name!r} needs {unknown[0]!r}; there is: {', '.join(sorted(NEEDS))}"
        )


def check_scores(name: str, scores: Floats, count: int) -> None:
    """Refuse scores of wrong shape, NaN, or outside [0, 1].

    Raises
    ------
    ConfigError
        If the length is wrong, or a score is NaN or outside [0, 1].
    """
    if scores.shape != (count,):
        raise ConfigError(
            f"scorer {name!r} gave shape {scores.shape} for {count} samples"
        )
    if not bool(((scores >= 0.0) & (scores <= 1.0)).all()):
        raise ConfigError(f"scorer {name!r} gave NaN or a score outside [0, 1]")
