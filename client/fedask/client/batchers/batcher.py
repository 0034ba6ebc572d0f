"""What a batcher is, and the table of their names. Called by the device under a cut."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.registry import resolve

BATCHERS = {
    "top": "fedask.client.batchers.top:Top",
    "cluster": "fedask.client.batchers.cluster:Cluster",
    "kmeans++": "fedask.client.batchers.kmeanspp:KmeansPlusPlus",
}


@dataclass(frozen=True, slots=True)
class Shortlist:
    """A device's candidates, best score first; ties broken by uid.

    Parameters
    ----------
    scores
        (n,) float32 in [0, 1].
    accepted
        (n,) bool, those that the cut itself would buy.
    features
        (n, d) float32 what the last layer sees; d may be 0 for batchers without need.
    probs
        (n, c) float32 predictions of the current model; c may be 0 likewise.
    """

    scores: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    features: NDArray[np.float32]
    probs: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


class Batcher(Protocol):
    """Picks which candidates to ask together."""

    @property
    def needs_model(self) -> bool:
        """Whether features and predictions of the shortlist are needed."""
        ...

    def pick(
        self, shortlist: Shortlist, k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Pick ``k`` different rows of the shortlist, ``k <= len(shortlist)``.

        Returns
        -------
        NDArray
            (k,) row numbers, ascending.
        """
        ...


def make_batcher(name: str) -> Batcher:
    """Make a batcher by name.

    Raises
    ------
    ConfigError
        If the name is unknown (the nearest is named).
    """
    batcher: Batcher = resolve("batcher", name, BATCHERS)()
    return batcher
