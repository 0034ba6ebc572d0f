from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.client.views import scored
from tests.support.common.fleets import Fleet, fleets, policy_of, run_cycle, uids_of

from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId
from fedask.common.sections import AskConfig

CHECK = settings(max_examples=150, deadline=None)
FLEETS = st.one_of(fleets(policy="local-topk"), fleets(policy="uniform-random"))


@CHECK
@given(FLEETS)
def test_neither_quota_nor_capacity_is_ever_exceeded(fleet: Fleet) -> None:
    bought = run_cycle(fleet)

    assert bought.total <= fleet.config.quota
    for device, uids in bought.uids.items():
        assert len(uids) <= min(fleet.config.capacity, len(fleet.devices[device]))


@CHECK
@given(FLEETS)
def test_each_device_asks_its_own_best(fleet: Fleet) -> None:
    bought = run_cycle(fleet)

    for device, uids in bought.uids.items():
        assert uids == fleet.best(device).uids[: len(uids)].tolist()


@CHECK
@given(FLEETS)
def test_shares_differ_by_one_at_most_unless_a_device_has_no_more(
    fleet: Fleet,
) -> None:
    bought = run_cycle(fleet)

    able = {device: len(fleet.best(device)) for device in fleet.devices}
    counts = {device: len(uids) for device, uids in bought.uids.items()}
    going = [counts[device] for device in counts if counts[device] < able[device]]
    assert max(going, default=0) - min(going, default=0) <= 1
    for device, count in counts.items():
        if count == able[device] and going:
            assert count <= min(going) + 1


@CHECK
@given(FLEETS)
def test_less_than_one_label_per_device_stays_unspent(fleet: Fleet) -> None:
    # The remainder is smaller than the number of devices that could take one more, and
    # a ticket may fall to a device that could not.
    unspent = min(fleet.config.quota, fleet.eligible) - run_cycle(fleet).total

    assert 0 <= unspent < len(fleet.devices)


@CHECK
@given(FLEETS, st.integers(0, 50))
def test_a_quota_for_everything_buys_everything(fleet: Fleet, more: int) -> None:
    config = replace(fleet.config, quota=max(1, fleet.eligible + more))

    bought = run_cycle(replace(fleet, config=config))

    assert bought.total == fleet.eligible


@CHECK
@given(
    st.integers(1, 8),
    st.integers(1, 20),
    st.integers(1, 200),
    st.integers(0, 2**63 - 1),
)
def test_equal_devices_that_cannot_run_out_spend_the_quota_to_the_last_label(
    devices: int, capacity: int, quota: int, nonce: int
) -> None:
    fleet = equal_fleet(devices, capacity, quota, nonce)

    assert run_cycle(fleet).total == min(quota, devices * capacity)


def equal_fleet(devices: int, capacity: int, quota: int, nonce: int) -> Fleet:
    return Fleet(
        config=AskConfig(policy="local-topk", quota=quota, capacity=capacity),
        classes=2,
        devices={
            DeviceId(f"device-{index}"): Scored(
                np.array(uids_of(index, 25)),
                np.linspace(1, 0, 25, dtype=np.float32),
                np.zeros(25, dtype=np.int64),
            )
            for index in range(devices)
        },
        labelled=np.zeros(2, dtype=np.int64),
        nonce=nonce,
    )


@CHECK
@given(
    st.sampled_from(["uniform-random", "proportional-random"]),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_random_picks_do_not_depend_on_what_the_model_says(
    policy: str, sizes: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    config = AskConfig(policy=policy, quota=30)
    fleet = replace(equal_fleet(1, 1, 1, 7), config=config, classes=4)
    scorer = make_scorer(policy_of(fleet).traits.scorer or "none")
    picks = []
    for _ in range(2):  # another model each time
        devices = {}
        for index, size in enumerate(sizes):
            probs = rng.dirichlet([0.3] * 4, size).astype(np.float32)
            uids = np.array(uids_of(index, size), dtype=np.str_)
            scores = scored(scorer, probs, uids, 5)
            devices[DeviceId(f"device-{index}")] = Scored.ranked(
                uids, scores, probs.argmax(axis=1)
            )
        labelled = rng.integers(0, 30, 4)
        picks.append(run_cycle(replace(fleet, devices=devices, labelled=labelled)).uids)

    assert picks[0] == picks[1]
