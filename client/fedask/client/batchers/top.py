"""Ask exactly what the cut buys: no diversity."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.batchers.batcher import Batcher, Shortlist


class Top(Batcher):
    """The accepted samples, then the best of the rest if ``k`` is larger."""

    needs_model = False

    @override
    def pick(
        self, shortlist: Shortlist, k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        first = np.argsort(~shortlist.accepted, kind="stable")
        return np.sort(first[:k])
