"""Views of given predictions, for the tests of scorers and batchers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.scorers.scorer import Scorer
from fedask.client.view import Floats, Known, View

NOTHING = Known(counts=np.zeros(0, np.int64), targets=np.zeros(0, np.int64))


def seen(probs: Floats, uids: NDArray[np.str_], salt: int = 0, **more: Any) -> View:  # noqa: ANN401
    """Return the view of samples with these predictions."""
    return View(uids=uids, salt=salt, probs=probs, **more)


def scored(
    scorer: Scorer, probs: Floats, uids: NDArray[np.str_], salt: int = 0
) -> Floats:
    """Score by predictions alone."""
    return scorer(seen(probs, uids, salt), NOTHING)
