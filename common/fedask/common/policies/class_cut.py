"""One cut per class, deeper for the classes that the fleet has few labels of.

Device half: that of ``global-cut``. Server half: the quota is shared over the groups by
their labelled counts, inverted and tempered; what a group cannot take goes to the
others. With a temperature near 0 only the rarest class is asked, with a high one every
class gets the same.

References
----------
Class-balanced acquisition, of minority classes above all, as the most consistent
predictor of accuracy in federated active learning: FairFAL, arXiv 2603.10341.
"""

import numpy as np
from typing_extensions import override

from fedask.common.grid import IntArray, apportion
from fedask.common.policies.global_cut import GlobalCut
from fedask.common.policies.policy import FleetSum
from fedask.common.sections import AskConfig


class ClassCut(GlobalCut):
    """Cut through summed score grids, quota by inverse labelled counts.

    Parameters
    ----------
    config
        ``capacity``, ``bins`` and ``temperature`` are used; not ``balance``.
    num_classes
        c; also the number of groups.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self._temperature = config.temperature

    @override
    def _shares(self, fleet: FleetSum) -> IntArray:
        # In logs, and from the largest: a low temperature must not underflow to 0/0.
        log_weights = -np.log1p(self._levels(fleet.labelled)) / self._temperature
        weights = np.exp(log_weights - log_weights.max())
        return apportion(weights, fleet.grid.sum(axis=1), fleet.quota)
