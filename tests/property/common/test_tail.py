from dataclasses import replace

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
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId
from fedask.common.policies.tail import AIM, START
from fedask.common.sections import MAX_BINS, AskConfig

CHECK = settings(max_examples=150, deadline=None)
FLEETS = fleets(policy="tail")
WATCHES = st.integers(-1, MAX_BINS - 1)


def watching(bin_: int) -> Cut:
    return Cut(cycle=1, model_version=MODEL, nonce=0, watch=bin_)


def over(fleet: Fleet, bin_: int) -> dict[DeviceId, list[str]]:
    """What a device may be asked over a threshold, sample by sample."""
    threshold = (START if bin_ < 0 else bin_) / MAX_BINS
    return {
        device: [
            uid
            for uid, score in zip(best.uids.tolist(), best.scores.tolist(), strict=True)
            if score >= threshold or threshold >= 1
        ]
        for device in fleet.devices
        for best in [fleet.best(device)]
    }


@CHECK
@given(FLEETS, WATCHES)
def test_neither_quota_nor_capacity_is_ever_exceeded(fleet: Fleet, bin_: int) -> None:
    bought = run_cycle(fleet, watching(bin_))

    assert bought.total <= fleet.config.quota
    for uids in bought.uids.values():
        assert len(uids) <= fleet.config.capacity


@CHECK
@given(FLEETS, WATCHES)
def test_every_device_asks_its_best_of_what_it_counted(fleet: Fleet, bin_: int) -> None:
    bought = run_cycle(fleet, watching(bin_))

    able = over(fleet, bin_)
    assert int(bought.grid.sum()) == sum(map(len, able.values()))
    for device, uids in bought.uids.items():
        assert uids == able[device][: len(uids)]


@CHECK
@given(FLEETS, WATCHES)
def test_shares_are_in_proportion_to_what_was_counted(fleet: Fleet, bin_: int) -> None:
    bought = run_cycle(fleet, watching(bin_))

    able = over(fleet, bin_)
    counted = sum(map(len, able.values()))
    share = min(1.0, fleet.config.quota / counted) if counted else 0.0
    for device, uids in bought.uids.items():
        # The tickets, at most one a device, are taken from what is shared evenly.
        assert len(uids) <= share * len(able[device]) + 1 + 1e-9
    if counted <= fleet.config.quota:
        assert bought.total == counted


@CHECK
@given(
    st.integers(1, 12),
    st.integers(3, 30),  # of one or two labels a single one is half or all
    st.floats(0.3, 8.0),
    st.integers(0, 2**32 - 1),
)
def test_the_threshold_settles_where_a_little_more_than_the_quota_lies(
    devices: int, quota: int, sharpness: float, seed: int
) -> None:
    # Scores that crowd at 1 or at 0, with enough of them: a tail it must find anywhere.
    rng = np.random.default_rng(seed)
    size, config = 200, AskConfig(policy="tail", quota=quota, capacity=200)
    fleet = Fleet(
        config=config,
        classes=2,
        devices={
            DeviceId(f"device-{index}"): Scored.ranked(
                np.array(uids_of(index, size), dtype=np.str_),
                rng.beta(sharpness, 1.0, size).astype(np.float32),
                np.zeros(size, dtype=np.int64),
            )
            for index in range(devices)
        },
        labelled=np.zeros(2, dtype=np.int64),
        nonce=seed,
    )
    cut, counts = watching(-1), []

    for _ in range(25):
        bought = run_cycle(fleet, cut)
        cut = bought.cut
        counts.append(int(bought.grid.sum()))

    # Steps of 1/4096 are coarse where scores crowd, so a factor of 2 either way.
    assert AIM * quota / 2 - 1 <= np.mean(counts[-5:]) <= AIM * quota * 2 + 1


@CHECK
@given(FLEETS, WATCHES, st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(
    fleet: Fleet, bin_: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    devices = {}
    for device, scored in reversed(fleet.devices.items()):
        order = rng.permutation(len(scored))
        devices[device] = Scored.ranked(
            scored.uids[order], scored.scores[order], scored.groups[order]
        )

    first = run_cycle(fleet, watching(bin_))
    second = run_cycle(replace(fleet, devices=devices), watching(bin_))

    assert first.cut == second.cut
    assert first.uids == second.uids


def test_its_contribution_is_one_number() -> None:
    policy = policy_of(
        Fleet(
            config=AskConfig(policy="tail"),
            classes=10,
            devices={},
            labelled=np.zeros(10, dtype=np.int64),
            nonce=0,
        )
    )

    assert policy.traits.grid_shape == (1, 1)
