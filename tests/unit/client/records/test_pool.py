import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.records.pool import DataSource, Pool
from fedask.common.errors import DataError
from fedask.common.ids import Uid, content_uid

SAMPLES = np.arange(12, dtype=np.float32).reshape(6, 2)


def uid(row: int) -> Uid:
    return content_uid(SAMPLES[row])


def test_samples_come_in_the_order_asked_for() -> None:
    pool = Pool(ArraySource(SAMPLES))

    assert len(pool) == 6
    assert pool.load([uid(4), uid(0), uid(4)]).tolist() == [[8, 9], [0, 1], [8, 9]]
    assert pool.rows([uid(4), uid(0)]).tolist() == [4, 0]
    assert pool.rows([]).dtype == np.int64


def test_equal_samples_are_one_and_the_first_stands_for_both() -> None:
    pool = Pool(ArraySource(SAMPLES[[3, 1, 3, 1, 5]]))

    assert len(pool) == 3
    assert pool.rows([uid(3), uid(1), uid(5)]).tolist() == [0, 1, 4]
    (batch,) = pool.batches((), 10)
    assert batch[0].tolist() == [uid(3), uid(1), uid(5)]


def test_a_removed_sample_is_named() -> None:
    before = Pool(ArraySource(SAMPLES))
    after = Pool(ArraySource(np.delete(SAMPLES, 2, axis=0)))

    assert len(before.load([uid(2)])) == 1
    with pytest.raises(DataError, match=f"{uid(2)} is no longer in the pool"):
        after.load([uid(1), uid(2)])


def test_a_changed_sample_is_another_sample() -> None:
    changed = SAMPLES.copy()
    changed[2, 0] += 1

    with pytest.raises(DataError, match=uid(2)):
        Pool(ArraySource(changed)).load([uid(2)])


@pytest.mark.parametrize("size", [1, 2, 4, 6, 7])
def test_batches_cover_the_pool_in_row_order(size: int) -> None:
    pool = Pool(ArraySource(SAMPLES))

    batches = list(pool.batches((), size))

    assert np.concatenate([raw for _, raw in batches]).tolist() == SAMPLES.tolist()
    assert [u for uids, _ in batches for u in uids.tolist()] == [
        uid(row) for row in range(6)
    ]
    assert max(len(raw) for _, raw in batches) <= size
    assert all(len(uids) == len(raw) for uids, raw in batches)


@pytest.mark.parametrize("size", [1, 2, 6])
def test_batches_leave_out_the_excluded(size: int) -> None:
    pool = Pool(ArraySource(SAMPLES))

    batches = list(pool.batches({uid(0), uid(3), uid(5), Uid("0" * 32)}, size))

    kept = np.concatenate([raw for _, raw in batches])
    assert kept.tolist() == SAMPLES[[1, 2, 4]].tolist()
    assert all(len(raw) for _, raw in batches)


def test_excluding_a_sample_excludes_its_copies() -> None:
    pool = Pool(ArraySource(SAMPLES[[1, 2, 1]]))

    (batch,) = pool.batches([uid(1)], 10)

    assert batch[0].tolist() == [uid(2)]


def test_a_device_sees_only_its_own_rows() -> None:
    pool = Pool(ArraySource(SAMPLES, rows=np.array([4, 1])))

    assert pool.rows([uid(4), uid(1)]).tolist() == [0, 1]  # rows of the source
    assert pool.load([uid(1)]).tolist() == [[2, 3]]
    with pytest.raises(DataError):
        pool.load([uid(0)])


def test_a_sample_between_two_others_is_not_taken_for_either() -> None:
    pool = Pool(ArraySource(SAMPLES))

    for missing in (Uid("0" * 32), Uid("f" * 32), Uid(uid(3)[:-1] + "g")):
        with pytest.raises(DataError, match=f"{missing} is no longer"):
            pool.rows([uid(0), missing, uid(1)])


def test_many_copies_are_found_across_pieces() -> None:
    # More rows than are compared at once; every sample three times, far apart.
    numbers = np.random.default_rng(0).permutation(np.tile(np.arange(5000), 3))
    named = np.array([f"{number:032x}" for number in numbers.tolist()])

    pool = Pool(ArraySource(numbers, uids=named))

    _, first = np.unique(numbers, return_index=True)
    assert pool.uids.tolist() == named[np.sort(first)].tolist()
    assert pool.rows([Uid(named[17])]).tolist() == [first[numbers[17]]]


def test_batches_of_few_numbers_start_short_and_then_keep_to_the_limit() -> None:
    samples = np.arange(900, dtype=np.float32).reshape(300, 3)

    sizes = [len(raw) for _, raw in Pool(ArraySource(samples)).batches((), 200, 450)]

    assert sizes == [64, 150, 86]
    small = Pool(ArraySource(samples)).batches((), 20, 450)
    assert {len(raw) for _, raw in small} == {20}


def test_a_sample_larger_than_the_limit_comes_alone() -> None:
    samples = np.arange(900, dtype=np.float32).reshape(90, 10)

    sizes = [len(raw) for _, raw in Pool(ArraySource(samples)).batches((), 50, 5)]

    assert sizes == [50, *[1] * 40]


def test_what_is_done_to_a_batch_is_not_done_to_the_samples() -> None:
    samples = SAMPLES.copy()
    pool = Pool(ArraySource(samples))

    for _, raw in pool.batches((), 4):
        raw[:] = -1
    pool.load([uid(2), uid(3)])[:] = -1

    assert np.array_equal(samples, SAMPLES)


def test_batches_count_characters_and_fields_as_numbers() -> None:
    texts = np.array([f"{number:010d}" for number in range(200)])
    rows = np.zeros(200, dtype=[("a", "<f4", (4,)), ("b", "<U5"), ("c", "u1")])
    rows["c"] = np.arange(200)

    for samples in (texts, rows):
        named = np.array([f"{number:032x}" for number in range(200)])
        pool = Pool(ArraySource(samples, uids=named))

        assert [len(raw) for _, raw in pool.batches((), 200, 500)] == [64, 50, 50, 36]


class Named(DataSource):
    """Names without samples."""

    def __init__(self, count: int) -> None:
        numbers = np.random.default_rng(0).permutation(count)
        self.names = np.array([f"{number:032x}" for number in numbers.tolist()])

    @override
    def uids(self) -> NDArray[np.str_]:
        return self.names

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return rows


def test_a_pool_takes_eight_bytes_per_sample_beside_the_uids() -> None:
    source = Named(200_000)
    tracemalloc.start()
    try:
        pool = Pool(source)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert pool.uids is source.names
    assert kept < 8 * 200_000 + 10_000
    # While it is made: sorting needs as much again, and some uids at once.
    assert peak < 17 * 200_000 + 2_000_000
