from collections import Counter
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fedask.client.learning.batchers import greedy_batchers, k_center
from fedask.client.learning.batchers.batcher import BATCHERS, Shortlist, make_batcher
from fedask.client.learning.batchers.clustering import in_turn, kmeans
from fedask.client.learning.batchers.deduplication import distinct
from fedask.client.learning.batchers.greedy_batchers import lazy_greedy
from fedask.client.learning.batchers.k_center import farthest_first

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]

sizes = st.integers(1, 25)
# Whole numbers of few values: copies, zeros, and distances that are exactly equal.
coarse = st.integers(-2, 2).map(float)
names = st.sampled_from([*BATCHERS, "distinct+kmeans++", "distinct+cluster"])


@st.composite
def points(draw: st.DrawFn, n: int | None = None, columns: int = 3) -> Points:
    rows = draw(sizes) if n is None else n
    found: Points = draw(arrays(np.float64, (rows, columns), elements=coarse))
    return found


@st.composite
def shortlists(draw: st.DrawFn) -> Shortlist:
    n = draw(sizes)
    scores = draw(arrays(np.float32, n, elements=st.sampled_from([0.0, 0.5, 1.0])))
    answers = draw(arrays(np.int64, (2, n), elements=st.integers(0, 2)))
    hard = np.eye(3, dtype=np.float32)[answers]  # certain; the draws contradict
    x = draw(points(n)).astype(np.float32)
    return Shortlist(
        scores=np.sort(scores)[::-1],
        accepted=draw(arrays(np.bool_, n)),
        features=x,
        probs=draw(st.sampled_from([hard[0], hard.mean(axis=0)])),
        anchors=draw(st.none() | points(columns=3).map(lambda a: a.astype(np.float32))),
        draws=draw(st.none() | st.just(hard)),
        local_probs=draw(st.none() | st.just(hard.mean(axis=0))),
        local_features=draw(st.none() | st.just(x)),
    )


@given(names, shortlists(), st.data())
@settings(deadline=None, max_examples=300)
def test_every_batch_is_a_set_of_rows(
    name: str, shortlist: Shortlist, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, len(shortlist)))

    rows = make_batcher(name).pick(shortlist, k, np.random.default_rng(0))

    assert rows.dtype == np.int64
    assert len(rows) == k
    assert (np.diff(rows) > 0).all()
    assert set(rows.tolist()) <= set(range(len(shortlist)))


@given(points(), points(), st.integers(1, 6), st.data())
@settings(deadline=None)
def test_k_center_chooses_the_lowest_of_the_farthest(
    x: Points, anchors: Points, front: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(x)))

    with patch.object(k_center, "_FRONT", front):
        rows = farthest_first(x, anchors, k).tolist()

    for number, row in enumerate(rows):
        covered = np.concatenate([anchors, x[rows[:number]]])
        distance = ((x[:, None] - covered) ** 2).sum(axis=2).min(axis=1)
        distance[rows[:number]] = -1.0
        assert row == distance.argmax()


@given(arrays(np.bool_, st.tuples(sizes, sizes)), st.integers(1, 5), st.data())
@settings(deadline=None)
def test_lazy_greedy_chooses_what_greedy_chooses(
    sets: NDArray[np.bool_], look: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, len(sets)))
    covered = np.zeros(sets.shape[1], dtype=np.bool_)

    def gains(rows: NDArray[np.int64]) -> Points:
        more: Points = (sets[rows] & ~covered).sum(axis=1).astype(np.float64)
        return more

    def take(row: int) -> None:
        covered[:] |= sets[row]

    with patch.object(greedy_batchers, "_LOOK", look):
        rows = lazy_greedy(gains(np.arange(len(sets))), k, gains, take).tolist()

    for number, row in enumerate(rows):
        before = sets[rows[:number]].any(axis=0)
        obvious = (sets & ~before).sum(axis=1)
        obvious[rows[:number]] = -1
        assert row == obvious.argmax()


def similarities(a: Points, b: Points) -> Points:
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    result: Points = a @ b.T / np.where(lengths > 0.0, lengths, 1.0)
    return result


@given(shortlists(), st.sampled_from([0.1234, 0.4567, 0.9123]), st.data())
@settings(deadline=None)
def test_what_is_kept_differs_and_stands_for_what_is_not(
    shortlist: Shortlist, similarity: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, len(shortlist)))
    x = shortlist.features.astype(np.float64)
    anchors: Any = shortlist.anchors
    others = np.zeros((0, 3)) if anchors is None else anchors.astype(np.float64)

    kept = distinct(shortlist, similarity)

    alike: Flags = np.greater(similarities(x, x), similarity)
    labelled: Flags = np.any(similarities(x, others) > similarity, axis=1)
    gone = np.setdiff1d(np.arange(len(x)), kept)
    assert not labelled[kept].any()
    assert not np.triu(alike[np.ix_(kept, kept)], 1).any()
    for row in gone:
        assert labelled[row] or alike[row, kept[kept < row]].any()
    filled = distinct(shortlist, similarity, k)
    assert filled.tolist() == sorted([*kept, *gone[: max(0, k - len(kept))]])


@given(arrays(np.int64, sizes, elements=st.integers(0, 5)), st.booleans(), st.data())
def test_no_cell_gives_twice_before_every_other_gave(
    cell: NDArray[np.int64], size_first: bool, data: st.DataObject
) -> None:
    order = np.array(data.draw(st.permutations(range(len(cell)))))

    rows = in_turn(cell, order, size_first=size_first)

    assert sorted(rows.tolist()) == list(range(len(cell)))
    size = Counter(cell.tolist())
    given_before: Counter[int] = Counter()
    for row in rows:
        own = given_before[int(cell[row])]
        assert all(given_before[c] >= min(own, size[c]) for c in size)
        given_before[int(cell[row])] += 1
    for c in size:  # and each gives in the order asked for
        assert rows[cell[rows] == c].tolist() == order[cell[order] == c].tolist()


@given(points(), st.data())
@settings(deadline=None)
def test_copies_share_a_cell(x: Points, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(x)))

    cell = kmeans(x, k, np.random.default_rng(0))

    assert ((cell >= 0) & (cell < k)).all()
    same = (x[:, None] == x).all(axis=2)
    assert (cell[:, None] == cell)[same].all()
