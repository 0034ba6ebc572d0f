"""What a scorer is: the seam, and checks of what one gives. Called by scoring."""

from typing import Protocol

from fedask.client.learning.scorers.prediction_view import (
    NEEDS,
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.common.errors import ConfigError

__all__ = ["Scorer"]


class Scorer(Protocol):
    """Turns what the models say of samples into scores."""

    @property
    def needs(self) -> frozenset[str]:
        """Fields of view and context that it reads besides uids, salt and probs."""
        ...

    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        """Score a batch.

        Returns
        -------
        NDArray
            (n,) float32 in [0, 1]; higher = ask sooner. The score of a sample must not
            depend on what else is in its batch.
        """
        ...


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
