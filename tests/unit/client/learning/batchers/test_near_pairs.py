import numpy as np
import pytest

from fedask.client.learning.batchers.deduplication import near_pairs
from fedask.common.ids import Uid

A, B, C, D = (letter * 32 for letter in "abcd")


def test_pairs_are_samples_that_point_the_same_way() -> None:
    uids = np.array([C, A, D, B])
    features = np.array([[0.0, 3.0], [1.0, 0.0], [0.0, 0.0], [5.0, 0.05]], np.float32)

    assert near_pairs(uids, features, 0.99) == [(A, B)]
    assert near_pairs(uids, features, 1.0) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    uids = np.array([f"{i:032x}" for i in range(40)])
    features = rng.integers(0, 2, (40, 4)).astype(np.float32)
    mixed = rng.permutation(40)

    pairs = near_pairs(uids, features, 0.9)

    assert pairs
    assert near_pairs(uids[mixed], features[mixed], 0.9) == pairs


def test_a_sample_has_its_closest_partners_only() -> None:
    uids = np.array([f"{i:032x}" for i in range(100)])
    angles = np.linspace(0.0, 0.01, 100)
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    pairs = near_pairs(uids, features, 0.9)

    assert len(pairs) <= 8 * 100
    first = sorted(int(b, 16) for a, b in pairs if a == Uid(f"{0:032x}"))
    assert first[:8] == list(range(1, 9))


def test_nothing_is_near_nothing() -> None:
    assert near_pairs(np.zeros(0, np.str_), np.zeros((0, 4), np.float32), 0.9) == []
