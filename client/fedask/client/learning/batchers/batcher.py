"""The seam of batchers and the table of their names. Called by the selector.

Letters: n candidates, k picks, c classes, d features, e features of the local model,
l anchors, t draws.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.common.errors import ConfigError
from fedask.common.registry import make

__all__ = ["Batcher", "Shortlist"]

_HERE = "fedask.client.learning.batchers"
BATCHERS = {
    "top": f"{_HERE}.score_batchers:Top",
    "power": f"{_HERE}.score_batchers:PowerBatcher",
    "softmax": f"{_HERE}.score_batchers:SoftmaxBatcher",
    "cluster": f"{_HERE}.clustering:Cluster",
    "cluster-margin": f"{_HERE}.clustering:ClusterMargin",
    "logo": f"{_HERE}.clustering:Logo",
    "kmeans++": f"{_HERE}.k_means_plus_plus:KmeansPlusPlus",
    "k-center": f"{_HERE}.k_center:KCenter",
    "facility-location": f"{_HERE}.greedy_batchers:FacilityLocation",
    "batch-bald": f"{_HERE}.greedy_batchers:BatchBald",
}

DISTINCT = "distinct+"  # before any name: near-duplicates are left out first

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


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
    anchors
        (l, d) float32 features of samples that are labelled or asked already, by the
        same model as ``features``; None if nobody asked for them or there are none.
    draws
        (t, n, c) float32 predictions of the t members of a committee; None likewise.
    local_probs
        (n, c) float32 predictions of the device's own last model; None likewise, or if
        the device never trained.
    local_features
        (n, e) float32 what the last layer of that model sees; None with it.
    """

    scores: Floats
    accepted: NDArray[np.bool_]
    features: Floats
    probs: Floats
    anchors: Floats | None = None
    draws: Floats | None = None
    local_probs: Floats | None = None
    local_features: Floats | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def best_first(self) -> Rows:
        """Return the row numbers by score, the highest first; ties by row."""
        return np.argsort(-self.scores, kind="stable")

    def top(self, k: int) -> Rows:
        """Return ``k`` rows, ascending: accepted first, then by score, then by row.

        Examples
        --------
        >>> scores = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
        >>> nothing = np.zeros((4, 0), dtype=np.float32)
        >>> accepted = np.array([True, False, False, True])
        >>> Shortlist(scores, accepted, nothing, nothing).top(3)
        array([0, 1, 3])
        """
        return np.sort(np.lexsort((-self.scores, ~self.accepted))[:k])

    def filled(self, rows: Rows, k: int) -> Rows:
        """Return ``rows`` and as many of the best others as make ``k``, ascending."""
        order = self.best_first()
        others = order[~np.isin(order, rows)]
        return np.sort(np.concatenate([rows, others[: k - len(rows)]]))

    def keep(self, rows: Rows, needs: frozenset[str]) -> "Shortlist":
        """Return some candidates, in the order given, with the fields that are needed.

        Of the others, arrays come without columns and optional ones not at all.
        """
        nothing = np.zeros((len(rows), 0), dtype=np.float32)

        def part(name: str) -> Floats | None:
            values: Floats | None = getattr(self, name) if name in needs else None
            return None if values is None else values[rows]

        draws = self.draws if "draws" in needs else None
        features, probs = part("features"), part("probs")
        return Shortlist(
            scores=self.scores[rows],
            accepted=self.accepted[rows],
            features=nothing if features is None else features,
            probs=nothing if probs is None else probs,
            anchors=self.anchors if "anchors" in needs else None,
            draws=None if draws is None else draws[:, rows],
            local_probs=part("local_probs"),
            local_features=part("local_features"),
        )


class Batcher(Protocol):
    """Picks which candidates to ask together."""

    @property
    def needs(self) -> frozenset[str]:
        """Fields of the shortlist it reads, in whole.

        Empty: it asks what the cut accepted, and no longer shortlist need be made.
        """

    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        """Pick ``k`` different rows of the shortlist.

        A field that is missing, or has no columns, is no error: each batcher says what
        it does then, ``top`` in the last resort.

        Returns
        -------
        NDArray
            (k,) row numbers, ascending.

        Raises
        ------
        ConfigError
            If ``k`` exceeds the shortlist, or a field it needs has NaN or infinity.
        """


class CheckedBatcher(Batcher):
    """A batcher with the checks and the trivial cases that all share.

    It is ``top`` where all candidates or none are picked, and where a required field
    is missing or has no columns.
    """

    required: ClassVar[frozenset[str]] = frozenset()

    @override
    def pick(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        check_batch(shortlist, k, self.needs)
        arrays = [getattr(shortlist, name) for name in self.required]
        lacking = any(array is None or 0 in array.shape for array in arrays)
        if lacking or k in {0, len(shortlist)}:
            return shortlist.top(k)
        return np.sort(self.choose(shortlist, k, rng))

    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        """Choose ``k`` different rows, in any order; ``0 < k < n``."""
        raise NotImplementedError


def make_batcher(name: str) -> Batcher:
    """Make a batcher by name; ``distinct+NAME`` leaves out near-duplicates first.

    Raises
    ------
    ConfigError
        If the name is unknown (the nearest is named).

    Examples
    --------
    >>> make_batcher("distinct+cluster").needs == {"features", "anchors"}
    True
    """
    if name.startswith(DISTINCT):
        inner = make_batcher(name.removeprefix(DISTINCT))
        wrapped: Batcher = make("batcher", _DISTINCT_CLASS, {}, inner)
        return wrapped
    batcher: Batcher = make("batcher", name, BATCHERS, offers=("needs", "pick"))
    return batcher


_DISTINCT_CLASS = f"{_HERE}.deduplication:Distinct"


def check_batch(shortlist: Shortlist, k: int, needs: frozenset[str]) -> None:
    """Refuse a batch that the shortlist cannot give.

    Parameters
    ----------
    needs
        Fields that must be finite if they are there.

    Raises
    ------
    ConfigError
        If ``k`` is negative or exceeds the shortlist, a needed field has NaN or
        infinity, or its shape does not fit.
    """
    n = len(shortlist)
    if not 0 <= k <= n:
        raise ConfigError(
            f"{k} questions from a shortlist of {n}: a batch is never larger than "
            "its shortlist; give it more candidates or ask fewer"
        )
    for name in sorted(needs):
        values: NDArray[Any] | None = getattr(shortlist, name)
        if values is None:
            continue
        _check_shape(name, values.shape, shortlist)
        # NaN passes through both ends; unlike isfinite they make no second array.
        if values.size and not np.isfinite([values.min(), values.max()]).all():
            raise ConfigError(
                f"the shortlist's {name} hold NaN or infinity: the model diverged, "
                "or a sample is damaged"
            )


def _check_shape(name: str, shape: tuple[int, ...], shortlist: Shortlist) -> None:
    if name == "anchors":
        fits = shape[1:] == shortlist.features.shape[1:]
    else:
        fits = shape[1 if name == "draws" else 0] == len(shortlist)
    if not fits:
        msg = f"the shortlist's {name} are {shape}, which does not fit "
        rows = f"{len(shortlist)} candidates with features "
        raise ConfigError(msg + rows + str(shortlist.features.shape))
