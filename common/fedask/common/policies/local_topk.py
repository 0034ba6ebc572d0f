"""Every device asks the same number of its own best samples: baseline and fallback.

Device half: count itself under the number of samples it could ask; later, ask its best.
Server half: raise an equal level until the quota is spent, knowing how many devices end
below it; the remainder goes to a few, drawn by hash.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.cut import Cut
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId
from fedask.common.policies.policy import FleetSum, Traits, draws_ticket, ticket_for
from fedask.common.sections import MAX_BINS, AskConfig


class LocalTopk:
    """Equal share per device, by local score.

    Parameters
    ----------
    config
        ``capacity`` is used.
    num_classes
        Not used: there are no groups.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:  # noqa: ARG002  (the seam's signature)
        self._capacity = config.capacity
        # One row: devices by the number of samples they could ask.
        self.traits = Traits(
            grid_shape=(1, min(config.capacity + 1, MAX_BINS)),
            most=1,
        )

    def contribute(self, scored: Scored, cut: Cut | None = None) -> IntArray:  # noqa: ARG002  (the seam's signature)
        """Count this device once, under what it could ask, at most ``capacity``."""
        grid = np.zeros(self.traits.grid_shape, dtype=np.int64)
        grid[0, min(len(scored), grid.shape[1] - 1)] = 1
        return grid

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Mark the device's best samples; what it lacks of its share is returned."""
        share = min(cut.take + int(draws_ticket(cut, device)), self._capacity)
        accepted = np.zeros(len(scored), dtype=np.bool_)
        accepted[:share] = True
        return accepted

    def plan(self, fleet: FleetSum) -> Cut:
        """Raise the level that every device may reach, as far as the quota pays."""
        able = fleet.grid[0, ::-1].cumsum()[::-1]  # able[j]: devices that could ask j
        paid = able[1:].cumsum()  # paid[j - 1]: labels if each asks j, or all it has
        take = int(np.searchsorted(paid, fleet.quota, side="right"))
        rest = fleet.quota - (int(paid[take - 1]) if take else 0)
        more = rest if take < len(paid) else 0
        return Cut(
            cycle=fleet.cycle,
            model_version=fleet.model_version,
            nonce=fleet.nonce,
            take=take,
            ticket=ticket_for(fleet.nonce, fleet.devices, more),
        )
