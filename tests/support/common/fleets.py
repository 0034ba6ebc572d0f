"""Fleets for the policies' property tests, and one cycle of a policy over them."""

import hashlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fedask.common.cut import Cut
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId
from fedask.common.policies.policy import FleetSum, Policy, make_policy
from fedask.common.sections import AskConfig

MODEL = "0123456789abcdef"
SCORES = ("spread", "ties", "equal", "zeros", "ones", "edges")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Devices with scored samples, and how they are asked."""

    config: AskConfig
    classes: int
    devices: dict[DeviceId, Scored]
    labelled: IntArray
    nonce: int

    def best(self, device: DeviceId) -> Scored:
        """What the device may be asked, by a sort of its own."""
        scored = self.devices[device]
        rows = zip(scored.scores.tolist(), scored.uids.tolist(), strict=True)
        order = sorted(enumerate(rows), key=lambda row: (-row[1][0], row[1][1]))
        index = np.array([i for i, _ in order[: self.config.capacity]], dtype=np.int64)
        return Scored(scored.uids[index], scored.scores[index], scored.groups[index])

    @property
    def eligible(self) -> int:
        """Samples that the fleet may be asked."""
        return sum(min(len(s), self.config.capacity) for s in self.devices.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """What a cycle led to."""

    cut: Cut
    grid: IntArray
    uids: dict[DeviceId, list[str]]

    @property
    def total(self) -> int:
        """Samples bought by the fleet."""
        return sum(len(uids) for uids in self.uids.values())


def policy_of(fleet: Fleet) -> Policy:
    """Make the fleet's policy."""
    return make_policy(fleet.config, fleet.classes)


def run_cycle(fleet: Fleet, cut: Cut | None = None) -> Bought:
    """Let the devices contribute, the server plan, and the devices accept.

    ``cut`` is the one in force while they contribute.
    """
    policy = policy_of(fleet)
    grid = np.zeros(policy.traits.grid_shape, dtype=np.int64)
    for scored in fleet.devices.values():
        grid += policy.contribute(scored, cut)
    cut = policy.plan(
        FleetSum(
            cycle=2,
            nonce=fleet.nonce,
            model_version=MODEL,
            grid=grid,
            labelled=fleet.labelled,
            devices=tuple(sorted(fleet.devices)),
            quota=fleet.config.quota,
            cut=cut,
        )
    )
    uids = {
        device: scored.uids[policy.accept(cut, scored, device)].tolist()
        for device, scored in fleet.devices.items()
    }
    return Bought(cut=cut, grid=grid, uids=uids)


def uids_of(device: int, count: int) -> list[str]:
    """Name ``count`` samples of a device, as content hashes look."""
    names = (f"{device}/{row}".encode() for row in range(count))
    return [hashlib.blake2b(name, digest_size=16).hexdigest() for name in names]


def draw_scores(kind: str, count: int, bins: int, rng: np.random.Generator) -> Scored:
    """Make scores of one kind, unnamed and in one group."""
    scores = {
        "spread": rng.random(count),
        "ties": rng.choice([0.0, 0.25, 0.5, 1.0], count),
        "equal": np.full(count, 0.3),
        "zeros": np.zeros(count),
        "ones": np.ones(count),
        "edges": rng.integers(0, bins + 1, count) / bins,
    }[kind]
    return Scored(
        np.array([""] * count, dtype=np.str_),
        scores.astype(np.float32),
        np.zeros(count, dtype=np.int64),
    )


@st.composite
def fleets(draw: st.DrawFn, *, policy: str, most_classes: int = 5) -> Fleet:
    """Draw a fleet: unequal devices, also empty ones, any quota and capacity."""
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    classes = draw(st.integers(1, most_classes))
    config = AskConfig(
        policy=policy,
        quota=draw(st.integers(1, 120)),
        capacity=draw(st.integers(1, 45)),
        bins=draw(st.sampled_from([2, 3, 8, 64])),
        balance=draw(st.sampled_from([0.0, 0.5, 1.0])),
        temperature=draw(st.sampled_from([0.01, 1.0, 100.0])),
    )
    kind = draw(st.sampled_from(SCORES))
    # The bulk comes from one drawn seed: hypothesis would take seconds for each row.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    devices = {}
    for index, size in enumerate(sizes):
        scores = draw_scores(kind, size, config.bins, rng).scores
        uids = np.array(uids_of(index, size), dtype=np.str_)
        groups = rng.integers(0, classes, size)
        devices[DeviceId(f"device-{index}")] = Scored.ranked(uids, scores, groups)
    return Fleet(
        config=config,
        classes=classes,
        devices=devices,
        labelled=rng.integers(0, 30, classes),
        nonce=draw(st.integers(0, 2**63 - 1)),
    )
