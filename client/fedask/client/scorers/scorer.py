"""What a scorer is, and the table of their names. Called by scoring."""

from functools import lru_cache
from typing import Protocol

from fedask.client.asking.view import NEEDS, Floats, Known, View
from fedask.common.errors import ConfigError
from fedask.common.registry import make

SCORERS = {
    "margin": "fedask.client.scorers.uncertainty:Margin",
    "entropy": "fedask.client.scorers.uncertainty:Entropy",
    "least-confidence": "fedask.client.scorers.uncertainty:LeastConfidence",
    "random": "fedask.client.scorers.random:Random",
    "energy": "fedask.client.scorers.named:Energy",
    "bald": "fedask.client.scorers.named:bald",
    "variation-ratio": "fedask.client.scorers.named:variation_ratio",
    "vote-entropy": "fedask.client.scorers.named:vote_entropy",
    "consensus-entropy": "fedask.client.scorers.named:consensus_entropy",
    "max-kl": "fedask.client.scorers.named:max_kl",
    "flips": "fedask.client.scorers.named:flips",
    "gradient-length": "fedask.client.scorers.named:ExpectedGradientLength",
    "gradient-norm": "fedask.client.scorers.named:GradientNorm",
    "kafal": "fedask.client.scorers.named:Kafal",
    "disagreement": "fedask.client.scorers.named:Disagreement",
    "fairfal": "fedask.client.scorers.named:FairFal",
    "typicality": "fedask.client.scorers.named:Typicality",
    "coverage": "fedask.client.scorers.named:Coverage",
    "center-distance": "fedask.client.scorers.named:CenterDistance",
    "density": "fedask.client.scorers.named:InformationDensity",
    "consequence": "fedask.client.scorers.named:Consequence",
    "cheap": "fedask.client.scorers.named:Cheap",
    "learned": "fedask.client.scorers.learning:Learned",
    "albl": "fedask.client.scorers.learning:Albl",
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
    from fedask.client.scorers.combined import (  # noqa: PLC0415  (it imports this module)
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
