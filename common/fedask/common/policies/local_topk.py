"""Each device its own best, the same number everywhere: baseline and offline fallback.

Device half: say how many it could ask; later, ask its best. Server half: divide the
quota by the devices; the remainder goes to a few, drawn by hash.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import AskConfig
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId
from fedask.common.policies.policy import FleetSum, draws_ticket, ticket_for
from fedask.common.records import Cut


class LocalTopk:
    """Equal share per device, by local score.

    Parameters
    ----------
    config
        ``capacity`` is used.
    num_classes
        Not used: there are no groups.
    """

    scorer: str | None = None

    def __init__(self, config: AskConfig, num_classes: int) -> None:  # noqa: ARG002
        self._capacity = config.capacity

    @property
    def grid_shape(self) -> tuple[int, int]:
        """One cell: how many samples are available."""
        return 1, 1

    def contribute(self, scored: Scored) -> IntArray:
        """Count the samples this device could ask, at most ``capacity``."""
        return np.array([[min(len(scored), self._capacity)]], dtype=np.int64)

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Mark its best; a device with fewer samples returns the rest of its share."""
        share = min(cut.take + int(draws_ticket(cut, device)), self._capacity)
        accepted = np.zeros(len(scored), dtype=np.bool_)
        accepted[:share] = True
        return accepted

    def plan(self, fleet: FleetSum) -> Cut:
        """Divide the quota by the devices."""
        quota = min(fleet.quota, int(fleet.grid.sum()))
        take, rest = divmod(quota, max(1, len(fleet.devices)))
        return Cut(
            cycle=fleet.cycle,
            model_version=fleet.model_version,
            nonce=fleet.nonce,
            take=take,
            ticket=ticket_for(fleet.nonce, fleet.devices, rest),
        )
