"""What a scorer is, and the table of their names. Called by scoring."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError
from fedask.common.registry import resolve

SCORERS = {
    "margin": "fedask.client.scorers.uncertainty:Margin",
    "entropy": "fedask.client.scorers.uncertainty:Entropy",
    "least-confidence": "fedask.client.scorers.uncertainty:LeastConfidence",
    "random": "fedask.client.scorers.random:Random",
}

Floats = NDArray[np.float32]


class Scorer(Protocol):
    """Turns predictions into scores."""

    def __call__(self, probs: Floats, uids: NDArray[np.str_], salt: int) -> Floats:
        """Score a batch.

        Parameters
        ----------
        probs
            (n, c) rows that sum to one.
        uids
            (n,) whose predictions they are.
        salt
            Seeds whatever must look random; the same for the whole fleet and cycle.

        Returns
        -------
        NDArray
            (n,) float32 in [0, 1]; higher = ask sooner.
        """
        ...


def make_scorer(name: str) -> Scorer:
    """Make a scorer by name.

    Raises
    ------
    ConfigError
        If the name is unknown (the nearest is named).
    """
    scorer: Scorer = resolve("scorer", name, SCORERS)()
    return scorer


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
