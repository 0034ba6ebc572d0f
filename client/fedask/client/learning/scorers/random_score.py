"""A score that knows nothing: the control, and the cold start."""

import numpy as np
from typing_extensions import override

from fedask.client.learning.scorers.prediction_view import (
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer import Scorer
from fedask.common.ids import hash_uids


class Random(Scorer):
    """A hash of the uid: looks random, is the same on every runtime."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        return hash_uids(view.uids, view.salt).astype(np.float32)
