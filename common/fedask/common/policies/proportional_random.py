"""Random samples of the whole fleet: each device in proportion to its pool.

Random scores under one fleet-wide cut without groups; devices never learn each other's
pool size, and the server only their sum.
"""

from dataclasses import replace

import numpy as np
from typing_extensions import override

from fedask.common.grid import IntArray, Scored
from fedask.common.policies.global_cut import GlobalCut
from fedask.common.sections import AskConfig


class ProportionalRandom(GlobalCut):
    """One global cut through random scores.

    Parameters
    ----------
    config
        ``capacity`` and ``bins`` are used; not ``balance``: there is one group.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:  # noqa: ARG002  (the seam's signature)
        one = replace(config, balance=0.0, groups="predicted", cells=0)
        super().__init__(one, num_classes=1)
        self.traits = replace(self.traits, scorer="random", first="random")

    @override
    def _levels(self, labelled: IntArray) -> IntArray:
        total: IntArray = labelled.sum(keepdims=True)
        return total

    @override
    def _grouped(self, scored: Scored) -> Scored:
        best = super()._grouped(scored)
        return Scored(best.uids, best.scores, np.zeros_like(best.groups))
