"""What a scorer is, and the table of their names. Called by scoring."""

from functools import lru_cache
from typing import Protocol

from fedask.client.learning.selection.prediction_view import NEEDS, Floats, Known, View
from fedask.common.errors import ConfigError
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


class Scorer(Protocol):
    """Turns what the models say of samples into scores."""

    @property
    def needs(self) -> frozenset[str]:
        """Fields of ``View`` and ``Known`` it reads beyond uids, salt and probs."""
        ...

    def __call__(self, view: View, known: Known) -> Floats:
        """Score a batch.

        Returns
        -------
        NDArray
            (n,) float32 in [0, 1]; higher = ask sooner. The score of a sample must not
            depend on what else is in its batch.
        """
        ...


@lru_cache(maxsize=64)
def make_scorer(name: str) -> Scorer:
    """Return a scorer by name, or by an expression of names; they keep no state.

    Raises
    ------
    ConfigError
        If a name is unknown (the nearest is named), or what it names needs something
        that there is not.
    """
    # Not above: it is a scorer itself.
    from fedask.client.learning.scorers.combination import (  # noqa: PLC0415  (it imports this module)
        Combined,
        is_expression,
        parse,
    )

    if is_expression(name):
        return Combined(parse(name), make_scorer)
    scorer: Scorer = make("scorer", name, SCORERS, offers=("needs", "__call__"))
    check_needs(name, scorer.needs)
    return scorer


def check_needs(name: str, needs: frozenset[str]) -> None:
    """Refuse needs that nothing can fill.

    Raises
    ------
    ConfigError
        Naming the first of them.
    """
    unknown = sorted(needs - NEEDS)
    if unknown:
        msg = f"{name!r} needs {unknown[0]!r}; there is: {', '.join(sorted(NEEDS))}"
        raise ConfigError(msg)


def check_scores(name: str, scores: Floats, count: int) -> None:
    """Refuse what a faulty scorer gives.

    Raises
    ------
    ConfigError
        If the length is wrong, or a score is NaN or outside [0, 1].
    """
    if scores.shape != (count,):
        msg = f"scorer {name!r} gave shape {scores.shape} for {count} samples"
        raise ConfigError(msg)
    if not bool(((scores >= 0.0) & (scores <= 1.0)).all()):
        msg = f"scorer {name!r} gave NaN or a score outside [0, 1]"
        raise ConfigError(msg)
