"""The scorers that a learning scorer learns from: ``ask.experts``.

Called by the predictor and the selector; knows nothing of what is learnt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
    check_scores,
)
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.common.errors import ConfigError

LEARNING = frozenset({"descriptors", "history"})  # needs that take experts
MAX_EXPERTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Scorers by name, in their order.

    Parameters
    ----------
    scorers
        At least one; none of them learns itself.
    """

    scorers: Mapping[str, Scorer]

    @property
    def text(self) -> str:
        """The names of the experts, kept beside their scores."""
        return ", ".join(self.scorers)

    @property
    def needs(self) -> frozenset[str]:
        """The fields that the experts need together."""
        return frozenset[str]().union(*(s.needs for s in self.scorers.values()))

    def describe(self, view: PredictionView, context: ScoringContext) -> Floats:
        """Return the score of each sample by each expert: (n, q) float32 in [0, 1].

        Raises
        ------
        ConfigError
            If an expert gives NaN, a score outside [0, 1] or a wrong length.
        """
        columns = np.empty((len(view), len(self.scorers)), dtype=np.float32)
        for column, (name, scorer) in enumerate(self.scorers.items()):
            scores = np.asarray(scorer(view, context), dtype=np.float32)
            check_scores(name, scores, len(view))
            columns[:, column] = scores
        return columns

    def __len__(self) -> int:
        return len(self.scorers)


@lru_cache(maxsize=16)
def make_experts(text: str) -> Experts:
    """Read ``ask.experts``: scorers or expressions of them, with commas between.

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
    return Experts(scorers=scorers)


def with_experts(needs: frozenset[str], text: str) -> frozenset[str]:
    """Return the needs, and those of the experts if one of them uses experts.

    Raises
    ------
    ConfigError
        From ``make_experts``.
    """
    return needs | make_experts(text).needs if needs & LEARNING else needs
