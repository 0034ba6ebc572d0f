"""How unlike each other the samples are that a cycle asks. Called after a run.

Only a simulation can tell: it knows which samples devices asked, a server does not.
Letters: n samples, d numbers of each.
"""

from collections.abc import Iterable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import Scenario
from fedask.common.inputs import flat
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.runtimes.runtime import Asked

_PIECE = 2048  # samples looked at together


def diversities(asked: Asked, scenario: Scenario) -> list[float | None]:
    """Return the diversity of every cycle's batch, over the whole fleet.

    Samples are taken as the model takes them, transformed and flattened, not as a
    model's features: these differ from run to run, and a figure to compare arms by
    must not.

    Parameters
    ----------
    asked
        Per device: (cycle, uid); of a sample that was asked again, the last cycle.

    Returns
    -------
    list
        Entry i is ``mean_distance`` of the samples of cycle i + 1, up to the last cycle
        that asked any.
    """
    shares, task = shares_of(scenario), task_of(scenario)
    row_of = {uid: row for row, uid in enumerate(shares.uids.tolist())}
    pairs = sorted(pair for chosen in asked.values() for pair in chosen)
    found: dict[int, float | None] = {}
    for cycle, batch in groupby(pairs, key=lambda pair: pair[0]):
        rows = [row_of[uid] for _, uid in batch]
        pieces = [rows[i : i + _PIECE] for i in range(0, len(rows), _PIECE)]
        inputs = (task.to_inputs(shares.data.train_x[piece]) for piece in pieces)
        found[cycle] = mean_distance(flat(x).numpy() for x in inputs)
    return [found.get(cycle + 1) for cycle in range(max(found, default=0))]


def mean_distance(pieces: Iterable[NDArray[np.float64]]) -> float | None:
    """Return the mean cosine distance, 1 - cosine, over all pairs of samples.

    Parameters
    ----------
    pieces
        The samples in pieces, (n, d) together; a row of zeros is at right angles to
        every other.

    Returns
    -------
    float or None
        In [0, 2]; 0 = all point one way. None for fewer than two samples.

    Notes
    -----
    The cosines of all pairs sum to the squared length of the sum of the unit vectors,
    less their own: O(n d), no n x n.
    """
    count, total, own = 0, np.zeros(1), 0.0
    for samples in pieces:
        lengths = np.linalg.norm(samples, axis=1, keepdims=True)
        units = np.divide(
            samples, lengths, out=np.zeros_like(samples), where=lengths > 0
        )
        count += len(samples)
        total = total + units.sum(axis=0)
        own += float((units**2).sum())
    if count <= 1:
        return None
    cosines = float((total**2).sum()) - own
    return max(0.0, 1.0 - cosines / (count * (count - 1)))
