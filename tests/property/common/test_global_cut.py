import itertools
from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.common.fleets import (
    MODEL,
    Fleet,
    fleets,
    policy_of,
    run_cycle,
    uids_of,
)

from fedask.common.cut import Cut
from fedask.common.grid import Scored, bin_of
from fedask.common.ids import DeviceId
from fedask.common.policies.policy import draws_ticket, ticket_for
from fedask.common.sections import AskConfig

CHECK = settings(max_examples=150, deadline=None)
FLEETS = st.one_of(fleets(policy="global-cut"), fleets(policy="class-cut"))
ONE_GROUP = st.one_of(
    fleets(policy="global-cut", most_classes=1), fleets(policy="proportional-random")
)


def eligible_bins(fleet: Fleet) -> dict[str, tuple[int, int]]:
    """Uid to (group, bin) of every sample that may be asked."""
    one_group = fleet.config.policy == "proportional-random"
    table: dict[str, tuple[int, int]] = {}
    for device in fleet.devices:
        best = fleet.best(device)
        bins = bin_of(best.scores, fleet.config.bins).tolist()
        groups = [0] * len(best) if one_group else best.groups.tolist()
        pairs = zip(groups, bins, strict=True)
        table |= dict(zip(best.uids.tolist(), pairs, strict=True))
    return table


@CHECK
@given(FLEETS, st.randoms(use_true_random=False))
def test_grids_add_in_any_order(fleet: Fleet, random: Random) -> None:
    policy = policy_of(fleet)
    grids = [policy.contribute(scored) for scored in fleet.devices.values()]
    shuffled = random.sample(grids, len(grids))

    total, again = grids[0].copy(), shuffled[0].copy()
    for grid in grids[1:]:
        total += grid
    for grid in shuffled[1:]:
        again += grid

    assert np.array_equal(total, again)
    assert total.shape == policy.traits.grid_shape
    assert total.sum() == fleet.eligible
    slow = np.zeros_like(total)
    for group, bin_ in eligible_bins(fleet).values():
        slow[group, bin_] += 1
    assert np.array_equal(total, slow)


@CHECK
@given(FLEETS)
def test_neither_quota_nor_capacity_is_ever_exceeded(fleet: Fleet) -> None:
    bought = run_cycle(fleet)

    assert bought.total <= fleet.config.quota
    for device, uids in bought.uids.items():
        assert len(uids) <= fleet.config.capacity
        assert len(set(uids)) == len(uids)
        assert set(uids) <= set(fleet.best(device).uids.tolist())


@CHECK
@given(ONE_GROUP)
def test_one_group_buys_the_global_top_k_up_to_one_bin(fleet: Fleet) -> None:
    bins = {uid: bin_ for uid, (_, bin_) in eligible_bins(fleet).items()}
    left, split, wanted = fleet.config.quota, -1, set[str]()
    for bin_ in reversed(range(fleet.config.bins)):
        inside = {uid for uid, where in bins.items() if where == bin_}
        if len(inside) > left:
            split = bin_ if left else -1
            break
        wanted |= inside
        left -= len(inside)

    bought = run_cycle(fleet)

    got = set(itertools.chain(*bought.uids.values()))
    assert wanted <= got
    assert {bins[uid] for uid in got - wanted} <= {split}
    # Against the sorted list: whatever differs lies in the split bin.
    ranked = sorted(
        (-score, uid)
        for device in fleet.devices
        for score, uid in zip(
            fleet.best(device).scores.tolist(),
            fleet.best(device).uids.tolist(),
            strict=True,
        )
    )
    top = {uid for _, uid in ranked[: fleet.config.quota]}
    assert {bins[uid] for uid in top ^ got} <= {split}


@CHECK
@given(FLEETS)
def test_every_group_is_cut_from_the_top_and_one_bin_split_at_most(
    fleet: Fleet,
) -> None:
    where = eligible_bins(fleet)

    got = set(itertools.chain(*run_cycle(fleet).uids.values()))

    split = set()
    for group in range(fleet.classes):
        inside = {uid: b for uid, (g, b) in where.items() if g == group}
        lowest = min((b for uid, b in inside.items() if uid in got), default=None)
        for uid, bin_ in inside.items():
            if uid in got or lowest is None:
                continue
            assert bin_ <= lowest
            if bin_ == lowest:
                split.add((group, bin_))
    assert len(split) <= 1


@CHECK
@given(FLEETS, st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(fleet: Fleet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    devices = {}
    for device, scored in reversed(fleet.devices.items()):
        order = rng.permutation(len(scored))
        devices[device] = Scored.ranked(
            scored.uids[order], scored.scores[order], scored.groups[order]
        )

    first, second = run_cycle(fleet), run_cycle(replace(fleet, devices=devices))

    assert first.cut == second.cut
    assert first.uids == second.uids


@CHECK
@given(st.one_of(FLEETS, ONE_GROUP))
def test_what_stays_unspent_is_explained_by_the_split_bin(fleet: Fleet) -> None:
    # m devices, h of them with samples in the split bin, which holds more than needed.
    # A need of at most m is all tickets: only those that fall to a device without a
    # sample are lost. If it is more, every device has a ticket, and each of the h
    # rounds its share down: less than h are lost, and m - h tickets.
    bought = run_cycle(fleet)

    unspent = min(fleet.config.quota, fleet.eligible) - bought.total
    if bought.cut.boundary < 0:
        assert unspent == 0
    else:
        group = bought.cut.boundary
        theta = np.array(bought.cut.theta)
        split_bin = bought.grid[group, theta[group] - 1]
        whole = sum(int(bought.grid[g, t:].sum()) for g, t in enumerate(theta))
        need = fleet.config.quota - whole
        assert 0 < need < split_bin
        where = (group, theta[group] - 1)
        uids = {uid for uid, place in eligible_bins(fleet).items() if place == where}
        m = len(fleet.devices)
        h = sum(not uids.isdisjoint(s.uids.tolist()) for s in fleet.devices.values())
        assert 0 <= unspent <= (min(need, m - h) if need <= m else m - 1)


@CHECK
@given(FLEETS, st.integers(0, 50))
def test_a_quota_for_everything_buys_everything(fleet: Fleet, more: int) -> None:
    config = replace(fleet.config, quota=max(1, fleet.eligible + more))

    bought = run_cycle(replace(fleet, config=config))

    for device, uids in bought.uids.items():
        assert uids == fleet.best(device).uids.tolist()


@CHECK
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**63 - 1))
def test_a_device_alone_buys_exactly_its_share_of_a_split_bin(
    held: int, quota: int, nonce: int
) -> None:
    # All in one bin: floor(rho * held) must not lose one, as 1 / 49 * 49 < 1 would.
    device = DeviceId("alone")
    fleet = Fleet(
        config=AskConfig(quota=quota, capacity=300),
        classes=1,
        devices={
            device: Scored(
                np.array(uids_of(0, held)),
                np.full(held, 0.5, dtype=np.float32),
                np.zeros(held, dtype=np.int64),
            )
        },
        labelled=np.array([0]),
        nonce=nonce,
    )

    assert run_cycle(fleet).total == min(held, quota)


@CHECK
@given(
    st.sets(st.integers(0, 10**6), min_size=1, max_size=40),
    st.integers(-1, 45),
    st.integers(0, 2**63 - 1),
)
def test_exactly_as_many_devices_draw_a_ticket_as_were_counted(
    names: set[int], count: int, nonce: int
) -> None:
    devices = tuple(DeviceId(f"device-{name}") for name in sorted(names))

    ticket = ticket_for(nonce, devices, count)

    cut = Cut(cycle=2, model_version=MODEL, nonce=nonce, ticket=ticket)
    drawn = sum(draws_ticket(cut, device) for device in devices)
    assert drawn == min(max(count, 0), len(devices))
