"""A score that knows nothing: the control, and the cold start."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.scorers.scorer import Floats, Scorer
from fedask.common.ids import hash_uids


class Random(Scorer):
    """A hash of the uid: looks random, is the same on every runtime."""

    @override
    def __call__(self, probs: Floats, uids: NDArray[np.str_], salt: int) -> Floats:
        return hash_uids(uids, salt).astype(np.float32)
