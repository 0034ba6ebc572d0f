"""The default policy: one cut through the scores of the whole fleet.

Device half: count its best ``capacity`` scores into a grid; later, ask those over the
cut. Server half: water-fill the quota over the groups towards an even labelled class
mix, walk the summed grid from the top.

The last, split bin is shared without a second pass and without ever passing the quota:
each device buys ``floor(rho * its samples there)``, and a counted number of devices,
drawn by hash, buy one more. Within a device the samples with the lowest hash go first.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.grid import IntArray, Scored, bin_of, count_grid, spend, water_fill
from fedask.common.groups import group_count
from fedask.common.ids import DeviceId, hash_uids
from fedask.common.policies.policy import FleetSum, Traits, draws_ticket, ticket_for
from fedask.common.sections import AskConfig


class GlobalCut:
    """Cut through summed score grids, grouped by predicted class.

    Parameters
    ----------
    config
        ``capacity``, ``bins``, ``balance``, ``groups`` and ``cells`` are used.
    num_classes
        c; also the number of groups, unless these are cells.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:
        self._capacity = config.capacity
        self._bins = config.bins
        self._balance = config.balance
        self._groups = group_count(config, num_classes)
        self._of_classes = config.groups != "cells"
        self.traits = Traits(
            grid_shape=(self._groups, config.bins),
            most=config.capacity,
            groups=self._groups,
            bins=config.bins,
            counts_scores=True,
        )

    def contribute(self, scored: Scored, cut: Cut | None = None) -> IntArray:  # noqa: ARG002  (the seam's signature)
        """Count the best ``capacity`` scores.

        Returns
        -------
        NDArray
            (g, b) int64, sum at most ``capacity``.
        """
        return count_grid(self._grouped(scored), self._groups, self._bins)

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Mark the samples that the cut buys; never more than ``capacity``.

        Parameters
        ----------
        cut
            From ``plan``.
        scored
            The same samples that were contributed.

        Returns
        -------
        NDArray
            (n,) bool; entry i belongs to ``scored.uids[i]``.

        Raises
        ------
        ProtocolError
            If the cut is for another number of groups.
        """
        if len(cut.theta) != self._groups:
            raise ProtocolError(
                f"the cut has {len(cut.theta)} groups, must have {self._groups}"
            )
        accepted = np.zeros(len(scored), dtype=np.bool_)
        best = self._grouped(scored)
        theta = np.asarray(cut.theta, dtype=np.int64)[best.groups]
        bins = bin_of(best.scores, self._bins)
        accepted[: len(best)] = bins >= theta
        if cut.boundary >= 0:
            split = np.flatnonzero((best.groups == cut.boundary) & (bins == theta - 1))
            share = int(cut.rho * len(split)) + int(draws_ticket(cut, device))
            first = np.argsort(hash_uids(best.uids[split], cut.nonce), kind="stable")
            accepted[split[first[:share]]] = True
        return accepted

    def plan(self, fleet: FleetSum) -> Cut:
        """Spend the quota on the summed grid, first within the share of each group."""
        spending = spend(fleet.grid, self._shares(fleet), fleet.quota)
        theta = spending.theta.copy()
        rho, tickets = 0.0, 0
        if spending.boundary >= 0:
            # Bins between the split one and theta are empty in the whole fleet.
            theta[spending.boundary] = spending.boundary_bin + 1
            need = spending.boundary_need
            tickets = min(need, len(fleet.devices))
            held = int(fleet.grid[spending.boundary, spending.boundary_bin])
            if need > tickets:
                # One step up, so that floor(rho * n) is exact where the quotient is
                # whole; elsewhere it is 1 / held from whole, far above a rounding.
                rho = float(np.nextafter((need - tickets) / held, 1.0))
        return Cut(
            cycle=fleet.cycle,
            model_version=fleet.model_version,
            nonce=fleet.nonce,
            theta=tuple(int(t) for t in theta),
            boundary=spending.boundary,
            rho=rho,
            ticket=ticket_for(fleet.nonce, fleet.devices, tickets),
        )

    def _shares(self, fleet: FleetSum) -> IntArray:
        """Return (g,) labels set aside for each group; the rest follows the scores.

        The ``balance`` share is water-filled towards an even labelled class mix.
        """
        even = round(self._balance * fleet.quota)
        levels = self._levels(fleet.labelled)
        return water_fill(levels, fleet.grid.sum(axis=1), even)

    def _levels(self, labelled: IntArray) -> IntArray:
        """Return the labels that each group has; 0 for cells, which are not counted."""
        if self._of_classes:
            return labelled
        return np.zeros(self._groups, dtype=np.int64)

    def _grouped(self, scored: Scored) -> Scored:
        """Return the best ``capacity`` samples under this policy's groups."""
        return scored.head(self._capacity)
