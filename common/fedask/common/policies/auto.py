"""The policy that chooses among the others, from sums over the fleet.

Three choices, each from sums over the fleet alone:

- The first questions are typical samples, one from each cluster of what the device
  holds: no label is needed for that, and a batch of outliers teaches nothing.
- While labels per class are few, every device asks the same number, its own best: the
  scores of a model that has hardly learnt do not compare across devices.
- After that the fleet is cut as one: by class (``class-cut``) where devices hold much
  the same classes, through the plain sum (``global-cut``) where they do not, since
  there a class is a device or two, and their people's capacity ends first.

Device half: the grid of ``global-cut``, and one more row in which the device counts
itself once, under how even its own mix of groups is. Server half: compares the mean of
that with the mix of the summed grid: Nei's coefficient of differentiation.

References
----------
Few labels, typical samples: Hacohen, Dekel, Weinshall, "Active learning on a budget:
opposite strategies suit high and low budgets", ICML 2022.
Differentiation: Nei, "Analysis of gene diversity in subdivided populations", PNAS
70(12), 1973: alleles there are groups here, populations are devices.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedask.common.cut import Cut
from fedask.common.grid import IntArray, Scored
from fedask.common.groups import group_count
from fedask.common.ids import DeviceId
from fedask.common.policies.class_cut import ClassCut
from fedask.common.policies.global_cut import GlobalCut
from fedask.common.policies.policy import FleetSum, Traits, draws_ticket, ticket_for
from fedask.common.sections import AskConfig

FEW = 4.0  # labels per class below which devices ask equal shares
APART = 0.3  # differentiation from which the plain sum is cut; 0 = alike, 1 = disjoint


class Auto:
    """Chooses equal shares, a cut per class, or one cut, by what the fleet counts.

    Parameters
    ----------
    config
        ``capacity``, ``bins``, ``balance`` and ``temperature`` are used.
    num_classes
        c; also the number of groups.
    """

    def __init__(self, config: AskConfig, num_classes: int) -> None:
        self._capacity = config.capacity
        self._groups = group_count(config, num_classes)
        self._classes = num_classes
        self._bins = config.bins
        self._whole = GlobalCut(config, num_classes)
        self._by_class = ClassCut(config, num_classes)
        self.traits = Traits(
            grid_shape=(self._groups + 1, config.bins),  # the last row counts devices
            most=config.capacity + 1,
            groups=self._groups,
            bins=config.bins,
            first="typicality",
            counts_scores=True,
        )

    def contribute(self, scored: Scored, cut: Cut | None = None) -> IntArray:  # noqa: ARG002  (the seam's signature)
        """Count the best ``capacity`` scores, and this device under its mix."""
        grid = np.zeros(self.traits.grid_shape, dtype=np.int64)
        grid[:-1] = self._whole.contribute(scored)
        counts = grid[:-1].sum(axis=1)
        if counts.sum() > 1:
            grid[-1, mix_bin(counts, self._bins)] = 1
        return grid

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Mark the best, an equal share, or what lies over the cut.

        Raises
        ------
        ProtocolError
            If the cut is for another number of groups.
        """
        if cut.theta:
            return self._whole.accept(cut, scored, device)
        share = min(cut.take + int(draws_ticket(cut, device)), self._capacity)
        accepted = np.zeros(len(scored), dtype=np.bool_)
        accepted[:share] = True
        return accepted

    def plan(self, fleet: FleetSum) -> Cut:
        """Choose, and cut as the chosen policy does."""
        grid, devices = fleet.grid[:-1], fleet.grid[-1]
        if fleet.labelled.sum() < FEW * self._classes:
            return self._equal_shares(fleet)
        inner = replace(fleet, grid=grid)
        apart = differentiation(grid.sum(axis=1), devices)
        return (self._whole if apart >= APART else self._by_class).plan(inner)

    def _equal_shares(self, fleet: FleetSum) -> Cut:
        take, rest = divmod(fleet.quota, len(fleet.devices))
        return Cut(
            cycle=fleet.cycle,
            model_version=fleet.model_version,
            nonce=fleet.nonce,
            take=take,
            ticket=ticket_for(fleet.nonce, fleet.devices, rest),
        )


def evenness(counts: IntArray) -> float:
    """Return how likely two samples are of different groups: 0 = one group only.

    Without bias for small numbers (Nei 1978): drawn without putting back.

    Parameters
    ----------
    counts
        (g,) whole numbers; their sum is at least 2.
    """
    total = int(counts.sum())
    same = int((counts * (counts - 1)).sum())
    return 1.0 - same / (total * (total - 1))


def mix_bin(counts: IntArray, bins: int) -> int:
    """Return the bin of a device's evenness; bin ``bins - 1`` holds 1."""
    return min(int(evenness(counts) * bins), bins - 1)


def differentiation(counts: IntArray, devices: IntArray) -> float:
    """Return Nei's G_ST: which part of the fleet's variety lies between devices.

    Parameters
    ----------
    counts
        (g,) over the fleet.
    devices
        (b,) devices by the bin of their evenness.

    Returns
    -------
    float
        In [0, 1]. 0 = every device has the mix of the fleet; 1 = every device has one
        group, and they differ. 0 where nothing can be told.
    """
    if counts.sum() < 2 or not devices.sum():  # noqa: PLR2004  (of one label nothing is known)
        return 0.0
    total = evenness(counts)
    if total == 0.0:
        return 0.0
    middle = (np.arange(len(devices)) + 0.5) / len(devices)
    within = float((devices * middle).sum() / devices.sum())
    return min(max(1.0 - within / total, 0.0), 1.0)
