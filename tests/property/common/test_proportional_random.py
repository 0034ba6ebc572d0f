import numpy as np
import pytest
from hypothesis import given, settings
from tests.support.client.views import scored
from tests.support.common.fleets import Fleet, fleets, run_cycle, uids_of

from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId
from fedask.common.sections import AskConfig

CHECK = settings(max_examples=150, deadline=None)


@CHECK
@given(fleets(policy="proportional-random"))
def test_neither_quota_nor_capacity_is_ever_exceeded(fleet: Fleet) -> None:
    bought = run_cycle(fleet)

    assert bought.total <= fleet.config.quota
    for device, uids in bought.uids.items():
        assert set(uids) <= set(fleet.best(device).uids.tolist())


@CHECK
@given(fleets(policy="proportional-random"))
def test_there_is_one_group_whatever_the_classes(fleet: Fleet) -> None:
    assert len(run_cycle(fleet).grid) == 1


def test_each_device_asks_in_proportion_to_its_pool() -> None:
    sizes = {DeviceId("small"): 100, DeviceId("middle"): 300, DeviceId("large"): 600}
    asked = dict.fromkeys(sizes, 0)
    none = np.zeros((0, 2), dtype=np.float32)

    for salt in range(40):
        devices = {}
        for index, (device, size) in enumerate(sizes.items()):
            uids = np.array(uids_of(index, size), dtype=np.str_)
            groups = np.arange(size) % 2
            devices[device] = Scored.ranked(
                uids, scored(make_scorer("random"), none, uids, salt), groups
            )
        bought = run_cycle(
            Fleet(
                config=AskConfig(policy="proportional-random", quota=50, capacity=200),
                classes=2,
                devices=devices,
                labelled=np.array([0, 100]),
                nonce=salt,
            )
        )
        for device, uids_bought in bought.uids.items():
            asked[device] += len(uids_bought)

    # 2000 labels: 200, 600 and 1200 expected, standard deviation at most 22; and the
    # split bin of each of the 40 cycles may shift a label from or to a device.
    assert list(asked.values()) == pytest.approx([200, 600, 1200], abs=66 + 40)
