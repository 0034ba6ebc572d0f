"""Diversity of a batch: the closed form against all pairs, and whole runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedask.common.config import Scenario
from fedask.common.ids import Uid
from fedask.simulations.fleet.devices import device_name, shares_of
from fedask.simulations.run.diversity import diversities, mean_distance


def _all_pairs(samples: np.ndarray) -> float:
    """Look at every pair; a row of zeros is at right angles to every other."""
    distances = []
    for i, a in enumerate(samples):
        for b in samples[:i]:
            lengths = np.linalg.norm(a) * np.linalg.norm(b)
            distances.append(1.0 - (a @ b / lengths if lengths else 0.0))
    return float(np.mean(distances))


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_mean_distance_is_that_of_all_pairs(n: int, d: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(np.float64)

    found = mean_distance([samples[:3], samples[3:]])

    assert found == pytest.approx(_all_pairs(samples), abs=1e-9)


def test_mean_distance_of_known_angles() -> None:
    right, opposite = np.array([[2.0, 0.0], [0.0, 5.0]]), np.array([[1.0], [-3.0]])

    assert mean_distance([right]) == pytest.approx(1.0)
    assert mean_distance([opposite]) == pytest.approx(2.0)
    assert mean_distance([np.array([[1.0, 1.0], [3.0, 3.0]])]) == pytest.approx(0.0)
    # Two alike and one at right angles to both: 0, 1 and 1.
    three = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    assert mean_distance([three]) == pytest.approx(2 / 3)


def test_one_sample_has_no_diversity() -> None:
    assert mean_distance([np.ones((1, 4))]) is None
    assert mean_distance([np.ones((0, 4))]) is None


def test_every_cycle_is_measured_over_the_whole_fleet() -> None:
    scenario = Scenario.from_flat({"fleet.devices": 4})
    shares = shares_of(scenario)
    uids = [Uid(uid) for uid in shares.uids[:6].tolist()]
    asked = {
        device_name(0): [(1, uids[0]), (4, uids[4])],
        device_name(1): [(1, uids[1]), (2, uids[3]), (4, uids[5])],
        device_name(2): [(1, uids[2])],
    }
    flat = shares.data.train_x.reshape(len(shares.uids), -1).astype(np.float64)

    found = diversities(asked, scenario)

    assert len(found) == 4
    assert found[0] == pytest.approx(_all_pairs(flat[:3]))
    assert found[1:3] == [None, None]  # one sample, none
    assert found[3] == pytest.approx(_all_pairs(flat[4:6]))
    assert diversities({}, scenario) == []
