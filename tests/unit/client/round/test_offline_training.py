from math import inf

import numpy as np

from fedask.client.round.offline_training import _halfway


def test_halfway_leaves_alone_what_did_not_move_infinity_included() -> None:
    first = np.array([1.0, -inf, 3.0], dtype=np.float32)
    last = np.array([2.0, -inf, 3.0], dtype=np.float32)
    assert _halfway(first, last).tolist() == [1.5, -inf, 3.0]
    assert _halfway(first, last).dtype == np.float32


def test_halfway_of_a_number_and_of_counters() -> None:
    assert _halfway(np.array(1.0), np.array(2.0)) == 1.5
    assert _halfway(np.array(4), np.array(9)) == 9
