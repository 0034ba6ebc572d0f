"""How unlike each other the samples are that a cycle asks. Called after a run.

Only a simulation can tell: it knows which samples devices asked, a server does not.
Letters: n samples, d numbers of each.
"""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import Scenario
from fedask.simulations.devices import shares_of
from fedask.simulations.runtimes.runtime import Asked
from fedask.simulations.tasks import task_of


def diversities(asked: Asked, scenario: Scenario) -> list[float | None]:
    """Return the diversity of every cycle's batch, over the whole fleet.

    Samples are taken as the model takes them, transformed and flattened, not as a
    model's features: these differ from run to run, and a figure to compare policies by
    must not.

    Parameters
    ----------
    asked
        Per device: (cycle, uid); of a sample that was asked again, the last cycle.
    scenario
        Of the run.

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
        raw = shares.data.train_x[[row_of[uid] for _, uid in batch]]
        inputs = task.to_inputs(raw).double().numpy()
        found[cycle] = mean_distance(inputs.reshape(len(inputs), -1))
    return [found.get(cycle + 1) for cycle in range(max(found, default=0))]


def mean_distance(samples: NDArray[np.float64]) -> float | None:
    """Return the mean cosine distance, 1 - cosine, over all pairs of samples.

    Parameters
    ----------
    samples
        (n, d); a row of zeros is at right angles to every other.

    Returns
    -------
    float or None
        In [0, 2]; 0 = all point one way. None for fewer than two samples.

    Notes
    -----
    The cosines of all pairs sum to the squared length of the sum of the unit vectors,
    less their own: O(n d), no n x n.
    """
    count = len(samples)
    if count <= 1:
        return None
    lengths = np.linalg.norm(samples, axis=1, keepdims=True)
    units = np.divide(samples, lengths, out=np.zeros_like(samples), where=lengths > 0)
    cosines = float((units.sum(axis=0) ** 2).sum() - (units**2).sum())
    return max(0.0, 1.0 - cosines / (count * (count - 1)))
