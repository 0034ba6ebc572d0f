import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedask.common.sections import FleetConfig
from fedask.simulations.fleet.partition import partition

KINDS = st.sampled_from(["iid", "dirichlet"])
LABELS = st.lists(st.integers(min_value=0, max_value=4), min_size=1, max_size=60)
ALPHAS = st.floats(min_value=1e-300, max_value=1e6)
SEEDS = st.integers(min_value=0, max_value=2**31 - 1)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[int], FleetConfig, int]:
    labels = draw(LABELS)
    config = FleetConfig(
        devices=draw(st.integers(min_value=1, max_value=len(labels))),
        partition=draw(KINDS),
        alpha=draw(ALPHAS),
    )
    return labels, config, draw(SEEDS)


@given(fleets())
def test_every_sample_goes_to_one_device_and_none_is_left_empty(
    fleet: tuple[list[int], FleetConfig, int],
) -> None:
    labels, config, seed = fleet

    dealt = partition(np.array(labels, dtype=np.int64), config, seed)

    assert len(dealt) == config.devices
    assert min(len(rows) for rows in dealt) >= 1
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(labels)))


@given(fleets())
def test_rows_are_ascending_and_repeatable(
    fleet: tuple[list[int], FleetConfig, int],
) -> None:
    labels, config, seed = fleet
    array = np.array(labels, dtype=np.int64)

    dealt = partition(array, config, seed)

    assert all(rows.dtype == np.int64 for rows in dealt)
    assert all((np.diff(rows) > 0).all() for rows in dealt)
    again = partition(array, config, seed)
    assert [rows.tolist() for rows in dealt] == [rows.tolist() for rows in again]


@given(fleets())
def test_labels_are_left_as_they_were(
    fleet: tuple[list[int], FleetConfig, int],
) -> None:
    labels, config, seed = fleet
    array = np.array(labels, dtype=np.int64)

    partition(array, config, seed)

    assert array.tolist() == labels
