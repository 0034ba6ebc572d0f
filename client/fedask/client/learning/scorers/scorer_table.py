"""The table of scorers: a name, or an expression of names. Called by scoring."""

from functools import lru_cache

from fedask.client.learning.scorers.combination import Combined, is_expression, parse
from fedask.client.learning.scorers.scorer import Scorer, check_needs
from fedask.common.registry import make

_HERE = "fedask.client.learning.scorers"
SCORERS = {
    "margin": f"{_HERE}.uncertainty:Margin",
    "entropy": f"{_HERE}.uncertainty:Entropy",
    "least-confidence": f"{_HERE}.uncertainty:LeastConfidence",
    "random": f"{_HERE}.random_score:Random",
    "energy": f"{_HERE}.scorer_classes:Energy",
    "bald": f"{_HERE}.scorer_classes:bald",
    "variation-ratio": f"{_HERE}.scorer_classes:variation_ratio",
    "vote-entropy": f"{_HERE}.scorer_classes:vote_entropy",
    "consensus-entropy": f"{_HERE}.scorer_classes:consensus_entropy",
    "max-kl": f"{_HERE}.scorer_classes:max_kl",
    "flips": f"{_HERE}.scorer_classes:flips",
    "gradient-length": f"{_HERE}.scorer_classes:ExpectedGradientLength",
    "gradient-norm": f"{_HERE}.scorer_classes:GradientNorm",
    "kafal": f"{_HERE}.scorer_classes:Kafal",
    "disagreement": f"{_HERE}.scorer_classes:Disagreement",
    "fairfal": f"{_HERE}.scorer_classes:FairFal",
    "typicality": f"{_HERE}.scorer_classes:Typicality",
    "coverage": f"{_HERE}.scorer_classes:Coverage",
    "center-distance": f"{_HERE}.scorer_classes:CenterDistance",
    "density": f"{_HERE}.scorer_classes:InformationDensity",
    "consequence": f"{_HERE}.scorer_classes:Consequence",
    "cheap": f"{_HERE}.scorer_classes:Cheap",
    "learned": f"{_HERE}.learned_scorer:Learned",
    "albl": f"{_HERE}.learned_scorer:Albl",
}


@lru_cache(maxsize=64)
def make_scorer(name: str) -> Scorer:
    """Return a scorer by name, or by an expression of names; they keep no state.

    Raises
    ------
    ConfigError
        If a name is unknown (the nearest is named), or what it names needs something
        that there is not.
    """
    if is_expression(name):
        return Combined(parse(name), make_scorer)
    scorer: Scorer = make("scorer", name, SCORERS, offers=("needs", "__call__"))
    check_needs(name, scorer.needs)
    return scorer
