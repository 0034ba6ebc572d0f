"""Simulated devices: what a process that runs many of them keeps."""

import gc
import weakref

from fedask.common.config import Scenario
from fedask.simulations.fleet.devices import shares_of


def test_a_process_keeps_one_data_set_however_many_seeds_it_runs() -> None:
    kept = []
    for seed in range(4):
        values = {"data.source": "digits", "data.limit": 400, "seed": seed}
        shares = shares_of(Scenario.from_flat({**values, "fleet.devices": 2}))
        assert shares_of(Scenario.from_flat({**values, "fleet.devices": 2})) is shares
        kept.append(weakref.ref(shares.data.train_x))
        del shares
    gc.collect()
    assert [array() is not None for array in kept] == [False, False, False, True]
