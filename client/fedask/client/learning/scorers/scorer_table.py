"""The table of scorers: a name, or an expression of names. Called by scoring.

Says which fields of a view each score function takes, and holds the experts that a
learning scorer learns from (``ask.experts``). Formulas, ranges and papers stand at the
functions.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from fedask.client.learning.scorers import (
    committee,
    density,
    discrepancy,
    gradient,
    learned_scorer,
    uncertainty,
)
from fedask.client.learning.scorers.calibration import calibrated
from fedask.client.learning.scorers.combination import Combined, is_expression, parse
from fedask.client.learning.scorers.consequence import consequence
from fedask.client.learning.scorers.energy import energy
from fedask.client.learning.scorers.row_blocks import to_unit
from fedask.client.learning.scorers.scorer import (
    Floats,
    FunctionScorer,
    PredictionView,
    Scorer,
    ScoringContext,
    check_needs,
    check_scores,
)
from fedask.common.errors import ConfigError
from fedask.common.ids import hash_uids
from fedask.common.registry import make
from fedask.common.user_code import user_code

_FEWEST_MEMBERS = 2  # models that can disagree, or samples that have a neighbour
_GLOBAL_ABOVE = 0.75  # FairFAL, section 4: above it the global model decides
_RADIUS = 2.0  # of coverage, in usual distances to the nearest sample


def _of_committee(name: str, score: Callable[[Floats], Floats]) -> FunctionScorer:
    """Make a scorer of models that the device has anyway: no model is trained for it.

    Its members are the last global models and the device's own latest update. While
    there is but one model, its entropy is taken instead: a new device asks too.
    """

    def scored(view: PredictionView, _: ScoringContext) -> Floats:
        if len(view.draws) < _FEWEST_MEMBERS:
            return uncertainty.entropy(view.probs)
        return score(view.draws)

    return FunctionScorer(name, scored, "draws")


def _fairfal(view: PredictionView, context: ScoringContext) -> Floats:
    """Score by entropy of the global or of the local model, see ``fairness_mix``.

    The local model is the device's latest update, not one trained from scratch, and the
    balance is the device's own, where the paper's server averages it over the fleet.
    """
    answered = context.targets >= 0
    if answered.any():
        mix = discrepancy.fairness_mix(
            calibrated(context.anchor_logits[answered], 1.0),
            calibrated(context.anchor_local_logits[answered], 1.0),
            context.targets[answered],
            view.probs.shape[1],
        )
        if mix <= _GLOBAL_ABOVE:
            return uncertainty.entropy(calibrated(view.local_logits, 1.0))
    return uncertainty.entropy(view.probs)


def _typicality(view: PredictionView, context: ScoringContext) -> Floats:
    """Score by ``density.typicality``; a sample alone in its pool is typical."""
    if len(context.sample) < _FEWEST_MEMBERS:
        return np.ones(len(view), dtype=np.float32)
    return density.typicality(view.features, context.sample, context.scale)


# A device scores small batches: one thread is enough.
_BUILT_IN = (
    FunctionScorer("margin", lambda v, _: uncertainty.margin(v.probs, threads=1)),
    FunctionScorer("entropy", lambda v, _: uncertainty.entropy(v.probs, threads=1)),
    FunctionScorer(
        "least-confidence",
        lambda v, _: uncertainty.least_confidence(v.probs, threads=1),
    ),
    # Looks random, but is the same on every runtime.
    FunctionScorer("random", lambda v, _: hash_uids(v.uids, v.salt).astype(np.float32)),
    FunctionScorer("energy", lambda v, _: energy(v.logits), "logits"),
    _of_committee("bald", committee.bald),
    _of_committee("variation-ratio", committee.variation_ratio),
    _of_committee("vote-entropy", committee.vote_entropy),
    _of_committee("consensus-entropy", committee.consensus_entropy),
    _of_committee("max-kl", committee.max_kl),
    _of_committee("flips", committee.flips),
    FunctionScorer(
        "gradient-length",
        lambda v, _: gradient.expected_gradient_length(v.probs, v.features),
        "features",
    ),
    FunctionScorer(
        "gradient-norm",
        lambda v, _: gradient.gradient_norm(v.probs, v.features),
        "features",
    ),
    # The local model of these two is the device's latest update.
    FunctionScorer(
        "kafal",
        lambda v, c: discrepancy.kafal(v.local_logits, v.logits, c.counts),
        "logits",
        "local_logits",
    ),
    FunctionScorer(
        "disagreement",
        lambda v, _: discrepancy.disagreement(calibrated(v.local_logits, 1.0), v.probs),
        "local_logits",
    ),
    FunctionScorer(
        "fairfal", _fairfal, "local_logits", "anchor_logits", "anchor_local_logits"
    ),
    FunctionScorer("typicality", _typicality, "features", "sample"),
    FunctionScorer(
        "coverage",
        lambda v, c: density.coverage(
            v.features, c.sample, c.anchors, _RADIUS * c.scale
        ),
        "features",
        "sample",
        "anchors",
    ),
    # From everything asked before.
    FunctionScorer(
        "center-distance",
        lambda v, c: density.center_distance(v.features, c.anchors, c.scale),
        "features",
        "sample",
        "anchors",
    ),
    FunctionScorer(
        "density",
        lambda v, c: density.information_density(v.features, c.sample),
        "features",
        "sample",
    ),
    FunctionScorer(
        "consequence",
        lambda v, c: consequence(v.probs, c.consequences),
        "consequences",
    ),
    # To be multiplied with another score: value per cost, down to ``ask.cost_unit``
    # (Settles, Craven and Friedland, NIPS 2008 workshop on cost-sensitive learning).
    FunctionScorer(
        "cheap",
        lambda v, _: to_unit(1.0 / np.maximum(v.costs.astype(np.float64), 1.0)),
        "costs",
    ),
    FunctionScorer("learned", learned_scorer.learned, "descriptors", "history"),
    FunctionScorer("albl", learned_scorer.albl, "descriptors", "history"),
)
SCORERS = {scorer.name: scorer for scorer in _BUILT_IN}


@lru_cache(maxsize=64)
def make_scorer(name: str) -> Scorer:
    """Return a scorer by name, or by an expression of names; they keep no state.

    Raises
    ------
    ConfigError
        If a name is unknown (the nearest is named), or what it names needs something
        that there is not.

    Examples
    --------
    >>> sorted(make_scorer("margin * typicality ^ 2").needs)
    ['features', 'sample']
    >>> make_scorer("margn")
    Traceback (most recent call last):
    ...
    fedask.common.errors.ConfigError: unknown scorer 'margn' (did you mean 'margin'?)
    """
    if name in SCORERS:
        return SCORERS[name]
    if is_expression(name):
        return Combined(parse(name), make_scorer)
    names = dict.fromkeys(SCORERS, "")  # to name the nearest
    scorer: Scorer = make("scorer", name, names, offers=("needs", "__call__"))
    check_needs(name, scorer.needs)
    return scorer


LEARNING = frozenset({"descriptors", "history"})  # needs that take experts
MAX_EXPERTS = 16


def opinions_of(
    experts: Mapping[str, Scorer], view: PredictionView, context: ScoringContext
) -> Floats:
    """Return the score of each sample by each expert: (n, q) float32 in [0, 1].

    Raises
    ------
    ConfigError
        If an expert fails, gives NaN, a score outside [0, 1] or a wrong length.
    """
    columns = np.empty((len(view), len(experts)), dtype=np.float32)
    for column, (name, scorer) in enumerate(experts.items()):
        with user_code(f"the scorer {name!r}", scorer):
            scores = np.asarray(scorer(view, context), dtype=np.float32)
        check_scores(name, scores, len(view))
        columns[:, column] = scores
    return columns


@lru_cache(maxsize=16)
def make_experts(text: str) -> Mapping[str, Scorer]:
    """Read ``ask.experts``: scorers, or expressions of them, by name and in order.

    Raises
    ------
    ConfigError
        If there is none or too many, one stands twice, is unknown, or learns itself.
    """
    names = [name.strip() for name in text.split(",")]
    if not 1 <= len(names) <= MAX_EXPERTS or not all(names):
        raise ConfigError(
            f"ask.experts = {text!r}: must be 1 to {MAX_EXPERTS} scorers, with "
            "commas between"
        )
    if len(set(names)) < len(names):
        raise ConfigError(
            f"ask.experts = {text!r}: a scorer stands there twice; name it once"
        )
    scorers = {name: make_scorer(name) for name in names}
    for name, scorer in scorers.items():
        if scorer.needs & LEARNING:
            raise ConfigError(
                f"ask.experts: {name!r} learns from experts, it cannot be one"
            )
    return scorers


def with_experts(needs: frozenset[str], text: str) -> frozenset[str]:
    """Return the needs, and those of the experts if one of them uses experts.

    Raises
    ------
    ConfigError
        From ``make_experts``.
    """
    experts = make_experts(text).values() if needs & LEARNING else ()
    return needs.union(*(expert.needs for expert in experts))
