from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.common.fleets import Bought, Fleet, fleets, run_cycle

from fedask.common.policies.auto import (
    APART,
    FEW,
    differentiation,
    evenness,
    mix_bin,
)

CHECK = settings(max_examples=150, deadline=None)
FLEETS = fleets(policy="auto")


def under(fleet: Fleet, policy: str) -> Bought:
    """The same cycle under another policy."""
    return run_cycle(replace(fleet, config=replace(fleet.config, policy=policy)))


def holding(fleet: Fleet, labels: int) -> Fleet:
    """The same fleet with so many labels of every class."""
    return replace(fleet, labelled=np.full(fleet.classes, labels, dtype=np.int64))


@CHECK
@given(FLEETS)
def test_neither_quota_nor_capacity_is_ever_exceeded(fleet: Fleet) -> None:
    bought = run_cycle(fleet)

    assert bought.total <= fleet.config.quota
    for device, uids in bought.uids.items():
        assert len(uids) <= fleet.config.capacity
        assert set(uids) <= set(fleet.best(device).uids.tolist())


@CHECK
@given(FLEETS, st.integers(0, int(FEW) - 1))
def test_with_few_labels_every_device_asks_the_same_number_of_its_best(
    fleet: Fleet, labels: int
) -> None:
    bought = run_cycle(holding(fleet, labels))

    able = {device: len(fleet.best(device)) for device in fleet.devices}
    going = [n for d, uids in bought.uids.items() if (n := len(uids)) < able[d]]
    assert max(going, default=0) - min(going, default=0) <= 1
    for device, uids in bought.uids.items():
        assert uids == fleet.best(device).uids[: len(uids)].tolist()


@CHECK
@given(FLEETS, st.integers(int(FEW), 50))
def test_with_labels_it_cuts_as_the_policy_that_it_chose(
    fleet: Fleet, labels: int
) -> None:
    fleet = holding(fleet, labels)

    bought = run_cycle(fleet)

    grid, devices = bought.grid[:-1], bought.grid[-1]
    apart = differentiation(grid.sum(axis=1), devices) >= APART
    assert bought.uids == under(fleet, "global-cut" if apart else "class-cut").uids


@CHECK
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_evenness_is_the_share_of_pairs_that_differ(counts: list[int]) -> None:
    members = [group for group, count in enumerate(counts) for _ in range(count)]
    pairs = [a != b for a, b in permutations(members, 2)]
    if pairs:
        expected = sum(pairs) / len(pairs)
        assert evenness(np.array(counts)) == pytest.approx(expected)


@CHECK
@given(
    st.lists(
        st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=8
    )
)
def test_differentiation_lies_between_alike_and_disjoint(
    table: list[list[int]],
) -> None:
    counts, devices = np.array(table), np.zeros(64, dtype=np.int64)
    for row in counts:
        if row.sum() > 1:
            devices[mix_bin(row, 64)] += 1

    assert 0.0 <= differentiation(counts.sum(axis=0), devices) <= 1.0


def test_differentiation_of_known_fleets() -> None:
    one_bin = 1 / 64

    def of(*rows: list[int]) -> float:
        devices = np.zeros(64, dtype=np.int64)
        for row in rows:
            devices[mix_bin(np.array(row), 64)] += 1
        return differentiation(np.sum(rows, axis=0), devices)

    # Nei's own measure, 1 - H_S / H_T: disjoint devices differ wholly, equal ones not.
    assert of([40, 0], [0, 40]) == pytest.approx(1.0, abs=2 * one_bin)
    assert of([40, 40], [40, 40], [40, 40]) == pytest.approx(0.0, abs=2 * one_bin)
    # H_S = (0.32 + 0.32) / 2 = 0.32, H_T = 0.5.
    assert of([800, 200], [200, 800]) == pytest.approx(0.36, abs=2 * one_bin)
    assert of([5, 0], [5, 0]) == 0.0  # one class in the whole fleet


def test_nothing_is_told_of_devices_without_two_scores() -> None:
    nothing = np.zeros(64, dtype=np.int64)
    assert differentiation(np.array([1, 0]), nothing) == 0.0
    assert differentiation(np.array([1, 1]), nothing) == 0.0
