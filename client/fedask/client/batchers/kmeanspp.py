"""k-means++ in the space of last-layer gradients: uncertain and diverse at once.

The gradient of the loss at the predicted class is ``g = (p - onehot(argmax p)) x h``
with h the feature. Its inner products factor, ``<g, g'> = <a, a'> <h, h'>``, so the
(n, c * d) matrix is never built.

References
----------
Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds",
ICLR 2020 (BADGE), algorithm 1.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.batchers.batcher import Batcher, Shortlist


class KmeansPlusPlus(Batcher):
    """D-squared sampling of gradients; the largest gradient first."""

    needs_model = True

    @override
    def pick(
        self, shortlist: Shortlist, k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        if k >= len(shortlist):
            return np.arange(len(shortlist))
        if k == 0:
            return np.zeros(0, dtype=np.int64)
        a = residuals(shortlist.probs)
        h = shortlist.features.astype(np.float64)
        norm = (a * a).sum(axis=1) * (h * h).sum(axis=1)
        row = int(norm.argmax())
        chosen = [row]
        distance = np.full(len(shortlist), np.inf)
        while len(chosen) < k:
            cross = (a @ a[row]) * (h @ h[row])
            distance = np.minimum(distance, np.maximum(norm + norm[row] - 2 * cross, 0))
            distance[chosen] = 0.0  # exactly: a row is never drawn twice
            row = _draw(distance, chosen, rng)
            chosen.append(row)
        return np.sort(np.array(chosen, dtype=np.int64))


def residuals(probs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``p - onehot(argmax p)``: (n, c) float64."""
    a = probs.astype(np.float64)
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1.0
    return a


def _draw(
    distance: NDArray[np.float64], chosen: list[int], rng: np.random.Generator
) -> int:
    """Draw a row in proportion to its distance; the first free one if all are 0."""
    reach = np.cumsum(distance)
    if reach[-1] > 0.0:
        row = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        if row < len(distance) and distance[row] > 0.0:
            return row
    free = np.setdiff1d(np.arange(len(distance)), chosen)
    return int(free[0])
