from dataclasses import dataclass
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedask.common.config import AskConfig
from fedask.common.grid import IntArray, Scored, bin_of
from fedask.common.ids import DeviceId, content_uid
from fedask.common.policies.global_cut import GlobalCut
from fedask.common.policies.policy import FleetSum
from fedask.common.records import Cut

MODEL = "0123456789abcdef"


@dataclass(frozen=True)
class Fleet:
    """Scored samples per device, and what is asked of them."""

    devices: dict[DeviceId, Scored]
    config: AskConfig
    groups: int
    quota: int
    labelled: IntArray


def scores_of(draw: st.DrawFn, count: int) -> NDArray[np.float32]:
    kind = draw(st.sampled_from(["random", "few", "zero", "one", "equal"]))
    if kind == "random":
        seed = draw(st.integers(0, 2**31))
        return np.random.default_rng(seed).random(count).astype(np.float32)
    if kind == "few":
        values = st.sampled_from([0.0, 0.25, 0.5, 0.999, 1.0])
        drawn = draw(st.lists(values, min_size=count, max_size=count))
        return np.array(drawn, dtype=np.float32)
    value = {"zero": 0.0, "one": 1.0, "equal": 0.37}[kind]
    return np.full(count, value, dtype=np.float32)


@st.composite
def fleets(draw: st.DrawFn, most_groups: int = 4) -> Fleet:
    groups = draw(st.integers(1, most_groups))
    config = AskConfig(
        capacity=draw(st.integers(1, 12)),
        bins=draw(st.sampled_from([2, 5, 64])),
        balance=draw(st.sampled_from([0.0, 0.25, 1.0])),
    )
    devices = {}
    for number in range(draw(st.integers(1, 6))):
        count = draw(st.integers(0, 25))
        uids = [content_uid(np.array([number, row])) for row in range(count)]
        seed = draw(st.integers(0, 1000))
        group = np.random.default_rng(seed).integers(0, groups, count)
        scored = Scored.ranked(
            np.array(uids, dtype=np.str_), scores_of(draw, count), group
        )
        devices[DeviceId(f"device-{number}")] = scored
    labelled = draw(st.lists(st.integers(0, 9), min_size=groups, max_size=groups))
    quota = draw(st.integers(0, 60))
    return Fleet(devices, config, groups, quota, np.array(labelled, dtype=np.int64))


def plan(fleet: Fleet) -> tuple[GlobalCut, Cut, IntArray]:
    policy = GlobalCut(fleet.config, fleet.groups)
    grids = [policy.contribute(scored) for scored in fleet.devices.values()]
    grid = np.sum(grids, axis=0)
    cut = policy.plan(
        FleetSum(
            cycle=2,
            nonce=17,
            model_version=MODEL,
            grid=grid,
            labelled=fleet.labelled,
            devices=tuple(fleet.devices),
            quota=fleet.quota,
        )
    )
    return policy, cut, grid


def accepted(fleet: Fleet) -> dict[DeviceId, NDArray[np.bool_]]:
    policy, cut, _ = plan(fleet)
    return {d: policy.accept(cut, s, d) for d, s in fleet.devices.items()}


@settings(max_examples=200, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_grids_add_in_any_order(fleet: Fleet, random: Random) -> None:
    policy = GlobalCut(fleet.config, fleet.groups)
    grids = [policy.contribute(scored) for scored in fleet.devices.values()]
    shuffled = list(grids)
    random.shuffle(shuffled)
    assert np.array_equal(np.sum(grids, axis=0), np.sum(shuffled, axis=0))
    assert all(grid.sum() <= fleet.config.capacity for grid in grids)


@settings(max_examples=300, deadline=None)
@given(fleets())
def test_spend_never_exceeds_quota_or_capacity(fleet: Fleet) -> None:
    taken = accepted(fleet)
    assert sum(int(mask.sum()) for mask in taken.values()) <= fleet.quota
    for mask in taken.values():
        assert int(mask.sum()) <= fleet.config.capacity


@settings(max_examples=200, deadline=None)
@given(fleets())
def test_all_is_bought_when_the_quota_allows(fleet: Fleet) -> None:
    _, _, grid = plan(fleet)
    bought = sum(int(mask.sum()) for mask in accepted(fleet).values())
    if fleet.quota >= grid.sum():
        assert bought == grid.sum()
    else:
        # What is left is less than the one bin that was split.
        assert fleet.quota - bought < max(1, int(grid.max()))


@settings(max_examples=300, deadline=None)
@given(fleets())
def test_each_group_gets_its_exact_best_within_one_bin(fleet: Fleet) -> None:
    _, cut, grid = plan(fleet)
    taken = accepted(fleet)
    for group in range(fleet.groups):
        inside, outside = [], []
        for device, scored in fleet.devices.items():
            best = scored.head(fleet.config.capacity)
            bins = bin_of(best.scores, fleet.config.bins)
            mine = best.groups == group
            mask = taken[device][: len(best)]
            inside += bins[mine & mask].tolist()
            outside += bins[mine & ~mask].tolist()
        if inside and outside:
            assert min(inside) >= max(outside)
            if min(inside) == max(outside):  # only the split bin is shared
                assert group == cut.boundary
                assert min(inside) == cut.theta[group] - 1
    assert grid.shape == (fleet.groups, fleet.config.bins)


@settings(max_examples=200, deadline=None)
@given(fleets(most_groups=1))
def test_one_group_is_the_exact_top_of_the_fleet_within_one_bin(fleet: Fleet) -> None:
    taken = accepted(fleet)
    kept = [s.head(fleet.config.capacity) for s in fleet.devices.values()]
    every = np.sort(np.concatenate([s.scores for s in kept]))[::-1]
    picked = np.concatenate(
        [s.scores[taken[d][: len(s)]] for d, s in zip(taken, kept, strict=True)]
    )
    exact = every[: len(picked)]
    bins = fleet.config.bins
    assert np.array_equal(np.sort(bin_of(picked, bins)), np.sort(bin_of(exact, bins)))


@settings(max_examples=200, deadline=None)
@given(fleets(), st.integers(0, 2**31))
def test_the_order_of_rows_does_not_matter(fleet: Fleet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = {}
    for device, scored in fleet.devices.items():
        order = rng.permutation(len(scored))
        mixed[device] = Scored.ranked(
            scored.uids[order], scored.scores[order], scored.groups[order]
        )
    other = Fleet(mixed, fleet.config, fleet.groups, fleet.quota, fleet.labelled)
    before, after = accepted(fleet), accepted(other)
    for device, scored in fleet.devices.items():
        one = set(scored.uids[before[device]].tolist())
        two = set(mixed[device].uids[after[device]].tolist())
        assert one == two
