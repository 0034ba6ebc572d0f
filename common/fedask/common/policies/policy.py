"""What every policy offers, and the table of their names.

The device calls ``contribute`` and ``accept``, the server calls ``plan``; nothing else
about a policy is known to either.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.cut import Cut
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId, unit_hash
from fedask.common.registry import make
from fedask.common.sections import AskConfig

__all__ = ["FleetSum", "Policy", "Traits"]

POLICIES = {
    "global-cut": "fedask.common.policies.global_cut:GlobalCut",
    "auto": "fedask.common.policies.auto:Auto",
    "class-cut": "fedask.common.policies.class_cut:ClassCut",
    "tail": "fedask.common.policies.tail:Tail",
    "local-topk": "fedask.common.policies.local_topk:LocalTopk",
    "uniform-random": "fedask.common.policies.uniform_random:UniformRandom",
    "proportional-random": (
        "fedask.common.policies.proportional_random:ProportionalRandom"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSum:
    """What the server knows when it plans a cycle: sums over the fleet.

    Parameters
    ----------
    cycle
        The cycle to plan, from 2.
    nonce
        For the tie-breaking hash of that cycle.
    model_version
        Of the model whose scores were counted.
    grid
        (g, b) sum of the contributions.
    labelled
        (c,) labels per class over the fleet.
    devices
        Those that contributed, sorted.
    quota
        Labels to buy at most.
    cut
        The cut in force when the devices counted, None if there was none.
    """

    cycle: int
    nonce: int
    model_version: str
    grid: IntArray
    labelled: IntArray
    devices: tuple[DeviceId, ...]
    quota: int
    cut: Cut | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What both sides must know about a policy beside its two halves.

    Parameters
    ----------
    grid_shape
        (g, b) of a contribution.
    most
        What one contribution may sum to; a larger one is refused.
    groups
        Thresholds in its cuts; 0 = its cuts buy a number of samples per device.
    bins
        Into how many the scores are divided by these thresholds.
    scorer
        Scorer it insists on, or None to use the configured one.
    first
        What it insists to choose the first questions by, or None: ``ask.first``.
    follows
        Whether devices need the cut in force to count their scores.
    counts_scores
        Whether the first ``groups`` rows of its grid count scores, from which the
        server may read the fleet's uncertainty.
    """

    grid_shape: tuple[int, int]
    most: int
    groups: int = 0
    bins: int = 0
    scorer: str | None = None
    first: str | None = None
    follows: bool = False
    counts_scores: bool = False


class Policy(Protocol):
    """Decides how many of its samples each device asks."""

    @property
    def traits(self) -> Traits:
        """What both sides must know about it; never changes."""
        ...

    def contribute(self, scored: Scored, cut: Cut | None = None) -> IntArray:
        """Device half, after scoring: what this device adds to the sum.

        ``cut`` is the one in force, if the policy follows it.
        """
        ...

    def accept(self, cut: Cut, scored: Scored, device: DeviceId) -> NDArray[np.bool_]:
        """Device half, under a cut: which of the same samples the cut buys."""
        ...

    def plan(self, fleet: FleetSum) -> Cut:
        """Server half: turn the sum into the cut of the next cycle."""
        ...


_OFFERS = ("traits", "contribute", "accept", "plan")


@lru_cache(maxsize=64)
def make_policy(config: AskConfig, num_classes: int) -> Policy:
    """Return the configured policy; policies keep no state, so they are shared.

    Raises
    ------
    ConfigError
        If its name is unknown.
    """
    policy: Policy = make(
        "policy", config.policy, POLICIES, config, num_classes, offers=_OFFERS
    )
    return policy


def draws_ticket(cut: Cut, device: DeviceId) -> bool:
    """Tell whether this device is one of those that may buy one sample more."""
    return unit_hash("ticket", cut.nonce, device) < cut.ticket


def ticket_for(nonce: int, devices: tuple[DeviceId, ...], count: int) -> float:
    """Return the ticket that exactly ``count`` of the devices draw.

    The server knows who takes part, so it can place the threshold between two hashes:
    no draw is left to chance, and the spend stays within the quota.
    """
    if count <= 0:
        return 0.0
    hashes = sorted(unit_hash("ticket", nonce, device) for device in devices)
    return 1.0 if count >= len(hashes) else hashes[count]
