"""Groups samples by feature clusters instead of predicted classes.

Called by the selector while it scores. See ``fedask.common.groups`` for what a group
is; this side has the features. Until the server knows a centre, groups are the
predicted classes, and what they add up to is where the first centres come from.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fedask.client.learning.scorers.scorer import PredictionView
from fedask.client.learning.selection.predictor import Predictor
from fedask.client.records.label_queue import Item
from fedask.client.records.pool import Pool
from fedask.common.grid import IntArray
from fedask.common.groups import MOST_TALLIED, Grouping, from_wire


class Grouper:
    """Groups samples by the centres of one message.

    Parameters
    ----------
    centres
        From the message, b"" for none.

    Raises
    ------
    ProtocolError
        If the centres do not fit.
    """

    needs = frozenset({"features"})  # of a view

    def __init__(self, grouping: Grouping, centres: bytes) -> None:
        self._grouping = grouping
        self._centres = from_wire(centres, grouping.count)

    def grouped(self, view: PredictionView) -> PredictionView:
        """Return the view with the group of every sample."""
        return replace(view, groups=self._groups_of(view))

    def _groups_of(self, view: PredictionView) -> IntArray:
        if self._centres is None:
            predicted: IntArray = view.probs.argmax(axis=1) % self._grouping.count
            return predicted
        points = self._grouping.project(view.features)
        return self._grouping.assign(points, self._centres)

    def tally(
        self, pool: Pool, predictor: Predictor, items: Sequence[Item]
    ) -> IntArray:
        """Sum the projected features per group, for the next centres: (g, p + 1).

        Parameters
        ----------
        items
            Everything ever asked of which the pool has the sample.
        """
        labels = {i.uid: i.label for i in items if i.label is not None}
        prototypes = self._grouping.kind == "prototype"
        uids = sorted(labels)[:MOST_TALLIED] if prototypes else predictor.drawn(pool)
        if not uids:
            nothing = np.zeros((0, 1), dtype=np.float32)
            return self._grouping.tally(
                self._grouping.project(nothing), np.zeros(0, dtype=np.int64)
            )
        view = predictor.view(np.array(uids, dtype=np.str_), pool.load(uids))
        points = self._grouping.project(view.features)
        if prototypes:
            groups = np.array([labels[uid] for uid in uids], dtype=np.int64)
        else:
            groups = self._groups_of(view)
        return self._grouping.tally(points, groups)
