"""The scorers by name: which part of a view each score function takes.

Called through ``make_scorer``. No arithmetic here; formulas, ranges and papers stand at
the functions.
"""

from collections.abc import Callable

import numpy as np
from typing_extensions import override

from fedask.client.learning.scorers import committee, density, discrepancy, gradient
from fedask.client.learning.scorers.calibration import calibrated
from fedask.client.learning.scorers.consequence import consequence
from fedask.client.learning.scorers.cost import per_cost
from fedask.client.learning.scorers.energy import energy
from fedask.client.learning.scorers.prediction_view import (
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer import Scorer
from fedask.client.learning.scorers.uncertainty import entropy

_COMPANY = 2  # models that can disagree
_GLOBAL_ABOVE = 0.75  # FairFAL, section 4: above it the global model decides
_RADIUS = 2.0  # of coverage, in usual distances to the nearest sample


class Energy(Scorer):
    """See ``energy.energy``."""

    needs = frozenset({"logits"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return energy(view.logits)


class CommitteeScorer(Scorer):
    """A score of a committee, which is free on a device.

    Its members are models that the device had anyway: the last global ones and its own
    latest update. While there is but one, nobody can disagree, and the entropy of that
    one is taken instead: a new device asks too.

    Parameters
    ----------
    score
        Maps draws (t, n, c) to scores (n,).
    """

    needs = frozenset({"draws"})

    def __init__(self, score: Callable[[Floats], Floats]) -> None:
        self._score = score

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        if len(view.draws) < _COMPANY:
            return entropy(view.probs)
        return self._score(view.draws)


def bald() -> Scorer:
    """See ``committee.bald``."""
    return CommitteeScorer(committee.bald)


def variation_ratio() -> Scorer:
    """See ``committee.variation_ratio``."""
    return CommitteeScorer(committee.variation_ratio)


def vote_entropy() -> Scorer:
    """See ``committee.vote_entropy``."""
    return CommitteeScorer(committee.vote_entropy)


def consensus_entropy() -> Scorer:
    """See ``committee.consensus_entropy``."""
    return CommitteeScorer(committee.consensus_entropy)


def max_kl() -> Scorer:
    """See ``committee.max_kl``."""
    return CommitteeScorer(committee.max_kl)


def flips() -> Scorer:
    """See ``committee.flips``."""
    return CommitteeScorer(committee.flips)


class ExpectedGradientLength(Scorer):
    """See ``gradient.expected_gradient_length``."""

    needs = frozenset({"features"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return gradient.expected_gradient_length(view.probs, view.features)


class GradientNorm(Scorer):
    """See ``gradient.gradient_norm``."""

    needs = frozenset({"features"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return gradient.gradient_norm(view.probs, view.features)


class Kafal(Scorer):
    """See ``discrepancy.kafal``; the local model is the device's latest update."""

    needs = frozenset({"logits", "local_logits"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return discrepancy.kafal(view.local_logits, view.logits, context.counts)


class Disagreement(Scorer):
    """See ``discrepancy.disagreement``; the local model is the latest update."""

    needs = frozenset({"local_logits"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        local = calibrated(view.local_logits, 1.0)
        return discrepancy.disagreement(local, view.probs)


class FairFal(Scorer):
    """Entropy of the global or of the local model, as ``discrepancy.fairness_mix``.

    The local model is the device's latest update, not one trained from scratch, and the
    balance is the device's own, where the paper's server averages it over the fleet.
    """

    needs = frozenset(
        {"local_logits", "anchor_logits", "anchor_local_logits"},
    )

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        answered = context.targets >= 0
        if answered.any():
            mix = discrepancy.fairness_mix(
                calibrated(context.anchor_logits[answered], 1.0),
                calibrated(context.anchor_local_logits[answered], 1.0),
                context.targets[answered],
                view.probs.shape[1],
            ).mix
            if mix <= _GLOBAL_ABOVE:
                return entropy(calibrated(view.local_logits, 1.0))
        return entropy(view.probs)


class Typicality(Scorer):
    """See ``density.typicality``; a sample alone in its pool is typical."""

    needs = frozenset({"features", "sample"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        if len(context.sample) < _COMPANY:
            return np.ones(len(view), dtype=np.float32)
        return density.typicality(view.features, context.sample, context.scale)


class Coverage(Scorer):
    """See ``density.coverage``; the radius is twice the usual nearest distance."""

    needs = frozenset({"features", "sample", "anchors"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        radius = _RADIUS * context.scale
        return density.coverage(view.features, context.sample, context.anchors, radius)


class CenterDistance(Scorer):
    """See ``density.center_distance``, from everything asked before."""

    needs = frozenset({"features", "sample", "anchors"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return density.center_distance(view.features, context.anchors, context.scale)


class InformationDensity(Scorer):
    """See ``density.information_density``."""

    needs = frozenset({"features", "sample"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return density.information_density(view.features, context.sample)


class Consequence(Scorer):
    """See ``consequence.consequence``; the matrix is the task's."""

    needs = frozenset({"consequences"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return consequence(view.probs, context.consequences)


class Cheap(Scorer):
    """How cheap an answer is, to be multiplied with another score; see ``per_cost``."""

    needs = frozenset({"costs"})

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return per_cost(np.ones(len(view), dtype=np.float32), view.costs, 1.0)
