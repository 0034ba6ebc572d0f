"""What a group is, where it is not the predicted class: the nearest of a few centres.

A mechanism with two halves. Device half: say which centre a sample is nearest to, and
add up, per group, a few numbers for its own samples. Server half: turn the sums of the
fleet into the centres of the next scoring. Sums and counts are all that travels.

``prototype``: the centre of a class is the mean of what people labelled as it, so that
a sample may be counted to a class that the model would not yet predict. ``cells``: a
step of spherical k-means per cycle, over what the devices hold, labelled or not.

Points are features of unit length, seen through a fixed random projection onto 16
dimensions in whole numbers: small on the wire, and exact, whatever the order of adding.

References
----------
A step of k-means needs nothing but sums and counts: Lloyd, "Least squares quantization
in PCM", IEEE Transactions on Information Theory 28(2), 1982. Spherical: Dhillon and
Modha, "Concept decompositions for large sparse text data using clustering", Machine
Learning 42, 2001. Projection by random signs: Achlioptas, "Database-friendly random
projections", JCSS 66(4), 2003.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ProtocolError
from fedask.common.grid import IntArray
from fedask.common.ids import stable_seed
from fedask.common.sections import AskConfig

DIMENSIONS = 16  # p
UNIT = 256  # a feature of length 1, in whole numbers
LARGEST = UNIT * 1024  # of one point, one dimension: a feature of 2**20 numbers
MOST_TALLIED = 4096  # samples that one device adds up: the fleet must outweigh it
FEWEST = 3  # samples of a group that a device may add: fewer show themselves
_JITTER = 0.05  # between the halves of a cell that is split

Centres = NDArray[np.float16]  # (g, p), of unit length; zeros = not known


class Grouping:
    """Puts each sample into the group of the nearest known centre.

    Parameters
    ----------
    config
        ``groups`` and ``cells`` are used.
    num_classes
        c of the task.
    seed
        Fixes the projection.
    """

    def __init__(self, config: AskConfig, num_classes: int, seed: int) -> None:
        self.kind = config.groups
        self.count = group_count(config, num_classes)
        self._seed = seed
        self._signs = np.zeros((0, DIMENSIONS))

    @property
    def sums_shape(self) -> tuple[int, int]:
        """(g, p + 1) of a tally."""
        return self.count, DIMENSIONS + 1

    def project(self, features: NDArray[np.float32]) -> IntArray:
        """Project features (n, d) to points (n, p) of whole numbers."""
        if len(self._signs) != features.shape[1]:
            seed = stable_seed("groups", self._seed, features.shape[1])
            rng = np.random.default_rng(seed)
            shape = (features.shape[1], DIMENSIONS)
            self._signs = rng.choice([-1.0, 1.0], size=shape)
        lengths = np.sqrt((features.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
        units = np.round(features / np.maximum(lengths, 1e-30) * UNIT)
        # Whole numbers far below 2**53: exact in any order of adding.
        points: IntArray = (units @ self._signs).astype(np.int64)
        return points

    def assign(self, points: IntArray, centres: Centres) -> IntArray:
        """Return the group (n,) of the nearest known centre; ties to the lowest."""
        near = points.astype(np.float64) @ centres.astype(np.float64).T
        near[:, ~known_of(centres)] = -np.inf
        nearest: IntArray = near.argmax(axis=1)
        return nearest

    def tally(self, points: IntArray, groups: IntArray) -> IntArray:
        """Add up points per group.

        Returns
        -------
        NDArray
            (g, p + 1) int64: sums, and last the counts. Groups of fewer than three
            samples are left out: a sum over one sample is that sample.
        """
        total = np.zeros(self.sums_shape, dtype=np.int64)
        np.add.at(total[:, :-1], groups, points)
        total[:, -1] = np.bincount(groups, minlength=self.count)
        total[total[:, -1] < FEWEST] = 0
        return total

    def move(self, centres: Centres | None, total: IntArray) -> Centres | None:
        """Return the next centres; None as long as nothing is known.

        A group that nobody counted keeps its centre. An empty cell takes half of the
        fullest one.
        """
        old = np.zeros((self.count, DIMENSIONS)) if centres is None else centres
        lengths = np.sqrt((total[:, :-1].astype(np.float64) ** 2).sum(axis=1))
        fresh: IntArray = np.flatnonzero((total[:, -1] > 0) & (lengths > 0))
        moved = old.astype(np.float64)
        moved[fresh] = total[fresh, :-1] / lengths[fresh, None]
        if self.kind == "cells" and len(fresh):
            self._split(moved, total[:, -1])
        if not moved.any():
            return None
        return moved.astype(np.float16)

    def _split(self, moved: NDArray[np.float64], counts: IntArray) -> None:
        """Give every empty cell a place beside a full one, fullest first."""
        empty = np.flatnonzero(counts == 0)
        full = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
        rng = np.random.default_rng(stable_seed("cells", self._seed))
        for number, cell in enumerate(empty):
            near = moved[full[number % len(full)]] + _JITTER * rng.normal(
                size=DIMENSIONS
            )
            moved[cell] = near / np.sqrt((near**2).sum())


def make_grouping(config: AskConfig, num_classes: int, seed: int) -> Grouping | None:
    """Return the configured mechanism; None: groups are the predicted classes."""
    if config.groups == "predicted":
        return None
    return Grouping(config, num_classes, seed)


def group_count(config: AskConfig, num_classes: int) -> int:
    """Return g: the classes, or the cells that were asked for."""
    if config.groups == "cells" and config.cells:
        return config.cells
    return num_classes


def known_of(centres: Centres) -> NDArray[np.bool_]:
    """Tell which centres are known: (g,) bool."""
    known: NDArray[np.bool_] = np.count_nonzero(centres, axis=1) > 0
    return known


def to_wire(centres: Centres | None) -> bytes:
    """Write centres; b"" for none."""
    return b"" if centres is None else centres.astype("<f2").tobytes()


def from_wire(data: bytes, count: int) -> Centres | None:
    """Read and check centres from another machine.

    Raises
    ------
    ProtocolError
        If they are not (count, 16) finite numbers of at most unit length.
    """
    if not data:
        return None
    if len(data) != count * DIMENSIONS * 2:
        raise ProtocolError(
            f"ask: centres have {len(data)} bytes, must have {count * DIMENSIONS * 2}"
        )
    centres = np.frombuffer(data, dtype="<f2").reshape(count, DIMENSIONS)
    if not (np.isfinite(centres).all() and (np.abs(centres) <= 1.0).all()):
        raise ProtocolError("ask: centres hold a number that is not in [-1, 1]")
    if not centres.any():
        raise ProtocolError("ask: no centre is known; leave the field out")
    return centres.astype(np.float16)


def check_sums(total: IntArray) -> None:
    """Refuse sums that no samples can have.

    Parameters
    ----------
    total
        (g, p + 1) from ``tally`` of one device.

    Raises
    ------
    ProtocolError
        If a count is negative or too large, or a sum larger than its count allows.
    """
    counts = total[:, -1]
    if (counts < 0).any() or int(counts.sum()) > MOST_TALLIED:
        raise ProtocolError(
            f"report: groups count {int(counts.sum())} samples, must be 0 to "
            f"{MOST_TALLIED}"
        )
    if (np.abs(total[:, :-1]) > counts[:, None] * LARGEST).any():
        raise ProtocolError(
            "report: the sum of a group is larger than its samples can make it"
        )
