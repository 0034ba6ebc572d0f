"""One number per device and cycle: how many of its samples lie over a threshold.

For fleets where a grid per device says too much, or costs too much noise: the sum of
one bounded count per device is all that the server needs. Device half: count the scores
over the watched threshold; later, ask the best of those that were counted. Server half:
buy as much of what was counted as the quota pays for, every device the same share of
its own; then move the threshold, so that next time a little more than the quota lies
over it.

What is bought was counted before, so the quota is never exceeded. A threshold that is
far too low counts every device at its capacity, and each asks an equal share of its
best, as under ``local-topk``; so the first cycle needs no search.

References
----------
The rule is that of adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy,
"Differentially private learning with adaptive clipping", NeurIPS 2021, section 2.1),
with a tail of scores in place of norms, and steps on the logit scale, since scores
crowd at 1.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.grid import IntArray, Scored, bin_of
from fedask.common.ids import DeviceId
from fedask.common.policies.policy import FleetSum, Traits, draws_ticket, ticket_for
from fedask.common.sections import MAX_BINS, AskConfig

START = MAX_BINS // 2  # watched before anything is known
AIM = 1.5  # quotas that should lie over the threshold: fewer cannot be spent
_GAIN = 0.5  # on the log of the count: 1 swings where the quota is a few labels
_LONGEST_STEP = 2.0  # logits per cycle: what a wrong count can do


class Tail:
    """One threshold, followed by one count per device.

    Parameters
    ----------
    config
        ``capacity`` and ``quota`` are used; not ``bins``: thresholds are 4096 steps.
    num_classes
        Not used: there are no groups.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:  # noqa: ARG002  (the seam's signature)
        self._capacity = config.capacity
        self._aim = AIM * config.quota
        self.traits = Traits(
            grid_shape=(1, 1),
            most=config.capacity,
            groups=1,
            bins=MAX_BINS,
            follows=True,
        )

    def contribute(self, scored: Scored, cut: Cut | None = None) -> IntArray:
        """Count the scores over the watched threshold, at most ``capacity``."""
        return np.array([[self._over(scored, watched(cut))]], dtype=np.int64)

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Mark the best of those that were counted: the share ``rho``, rounded down.

        Raises
        ------
        ProtocolError
            If the cut has another number of thresholds than one.
        """
        if len(cut.theta) != 1:
            raise ProtocolError(f"the cut has {len(cut.theta)} thresholds, must have 1")
        over = self._over(scored, cut.theta[0])
        share = min(over, int(cut.rho * over) + int(draws_ticket(cut, device)))
        accepted = np.zeros(len(scored), dtype=np.bool_)
        accepted[:share] = True
        return accepted

    def plan(self, fleet: FleetSum) -> Cut:
        """Share the quota over what was counted, and move the threshold."""
        theta, counted = watched(fleet.cut), int(fleet.grid[0, 0])
        rho, tickets = 1.0, 0
        if counted > fleet.quota:
            # Rounding down loses less than one label per device: tickets make up.
            tickets = min(fleet.quota, len(fleet.devices))
            rho = float(np.nextafter((fleet.quota - tickets) / counted, 1.0))
        return Cut(
            cycle=fleet.cycle,
            model_version=fleet.model_version,
            nonce=fleet.nonce,
            theta=(theta,),
            rho=rho,
            ticket=ticket_for(fleet.nonce, fleet.devices, tickets),
            watch=self._moved(theta, counted),
        )

    def _moved(self, theta: int, counted: int) -> int:
        """Return the threshold over which ``AIM`` quotas should lie."""
        share = (theta + 0.5) / MAX_BINS
        logit = math.log(share / (1.0 - share))
        step = _GAIN * math.log((counted + 1.0) / (self._aim + 1.0))
        logit += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        return min(int(MAX_BINS / (1.0 + math.exp(-logit))), MAX_BINS - 1)

    def _over(self, scored: Scored, threshold: int) -> int:
        best = scored.head(self._capacity)
        return int((bin_of(best.scores, MAX_BINS) >= threshold).sum())


def watched(cut: Cut | None) -> int:
    """Return the bin from which up devices count under a cut."""
    return START if cut is None or cut.watch < 0 else cut.watch
