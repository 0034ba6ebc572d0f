from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedask.client.learning.selection.best_scores import BestScores

# Few different scores: most ties are between batches and at the bar.
SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.5000001, 1.0]), max_size=60)


@given(
    scores=SCORES,
    keep=st.integers(0, 70),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    room=st.sampled_from([1, 3, 512]),
    seed=st.integers(0, 1000),
)
def test_any_order_and_any_batches_give_the_same_best(
    scores: list[float], keep: int, cuts: list[int], room: int, seed: int
) -> None:
    n = len(scores)
    uids = np.array([f"{row:02x}" for row in range(n)], dtype="<U32")
    values, groups = np.array(scores, dtype=np.float32), np.arange(n) % 3
    order = np.random.default_rng(seed).permutation(n)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    best = BestScores(keep)
    best._room = max(keep, room)  # so few rows would fit into the usual one

    for start, stop in pairwise(edges):
        part = order[start:stop]
        best.add(uids[part], values[part], groups[part].__getitem__)

    result = best.result()
    expected = sorted(
        zip(uids.tolist(), values.tolist(), groups.tolist(), strict=True),
        key=lambda row: (-row[1], row[0]),
    )[:keep]
    columns = result.uids.tolist(), result.scores.tolist(), result.groups.tolist()
    assert list(zip(*columns, strict=True)) == expected
