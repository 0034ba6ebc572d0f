from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.common.fleets import Fleet, run_cycle, uids_of

from fedask.common.grid import Scored, apportion
from fedask.common.ids import DeviceId
from fedask.common.sections import AskConfig

GROUPS = st.integers(1, 8).flatmap(
    lambda g: st.tuples(
        st.lists(st.floats(0, 1e6), min_size=g, max_size=g),
        st.lists(st.integers(0, 50), min_size=g, max_size=g),
    )
)


@settings(max_examples=300, deadline=None)
@given(GROUPS, st.integers(0, 300))
def test_shares_sum_to_the_quota_or_to_all_there_is(
    groups: tuple[list[float], list[int]], quota: int
) -> None:
    weights, available = np.array(groups[0]), np.array(groups[1])

    share = apportion(weights, available, quota)

    assert share.sum() == min(quota, available.sum())
    assert (share >= 0).all()
    assert (share <= available).all()
    # A group that could take more has at least its proportion, but for one label.
    if weights.sum() > 0:
        fair = np.floor(weights / weights.sum() * min(quota, available.sum()))
        assert (share[share < available] >= fair[share < available]).all()


def test_fractions_go_to_the_largest_remainder() -> None:
    # Hamilton's method, the textbook's example: 100 seats, populations in per mille.
    votes = np.array([470.0, 160.0, 158.0, 120.0, 61.0, 31.0])

    seats = apportion(votes, np.full(6, 100), 10)

    assert seats.tolist() == [5, 2, 1, 1, 1, 0]


def test_what_a_group_cannot_take_goes_to_the_others_by_weight() -> None:
    share = apportion(np.array([8.0, 1.0, 1.0]), np.array([2, 50, 50]), 12)

    assert share.tolist() == [2, 5, 5]


def test_groups_without_weight_share_what_is_left_evenly() -> None:
    share = apportion(np.array([1.0, 0.0, 0.0]), np.array([1, 9, 9]), 7)

    assert share.tolist() == [1, 3, 3]


def fleet(temperature: float) -> Fleet:
    """One device, 40 equally uncertain samples of each of three classes."""
    device = DeviceId("alone")
    scored = Scored(
        np.array(uids_of(0, 120)),
        np.linspace(0.9, 0.1, 120, dtype=np.float32),
        np.arange(120) % 3,
    )
    config = AskConfig(
        policy="class-cut", quota=30, capacity=120, temperature=temperature, bins=4096
    )
    return Fleet(
        config=config,
        classes=3,
        devices={device: scored},
        labelled=np.array([1, 3, 7]),
        nonce=1,
    )


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, [17, 9, 4]),  # 1/2, 1/4, 1/8 of 30: 17.1, 8.6, 4.3
        (0.05, [30, 0, 0]),  # the rarest class alone
        (1000.0, [10, 10, 10]),  # every class the same
    ],
)
def test_the_quota_follows_inverse_counts_by_temperature(
    temperature: float, expected: list[int]
) -> None:
    given = fleet(temperature)

    bought = run_cycle(given)

    (device,) = given.devices
    chosen = np.isin(given.devices[device].uids, bought.uids[device])
    groups = given.devices[device].groups[chosen]
    assert np.bincount(groups, minlength=3).tolist() == expected


def test_within_a_class_the_least_certain_are_asked() -> None:
    given = fleet(1.0)

    bought = run_cycle(replace(given, labelled=np.array([0, 0, 0])))

    (device,) = given.devices
    assert bought.uids[device] == given.devices[device].uids[:30].tolist()
