"""Batches of arrivals: given twice, cut short, overlapping, empty."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import pytest
from tests.support.client.arrivals import (
    MONDAY,
    arrivals,
    cut_at,
    make_stream,
    pace_of,
    scored,
    some,
    take,
)
from typing_extensions import override

from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.store.memory import MemoryStore
from fedask.client.store.memory.arrivals import MemoryArrivals
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

ALL = {"stream.budget": 1.0}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_the_last_batch_given_twice_changes_nothing(store: MemoryStore) -> None:
    scored(store)
    stream = make_stream(store, {"stream.budget": 0.3})
    batch = arrivals(some(50))
    assert take(stream, batch)
    before = store.queue.items(), store.arrivals.pace()

    assert take(stream, batch) == []
    assert take(stream, batch[20:]) == []

    assert (store.queue.items(), store.arrivals.pace()) == before


def test_of_a_batch_that_overlaps_the_last_one_only_the_rest_is_new(
    store: MemoryStore,
) -> None:
    batch = arrivals(some(90))
    scored(store)
    stream = make_stream(store, {"stream.budget": 0.3})

    rows = take(stream, batch[:50])
    rows += [30 + row for row in take(stream, batch[30:])]

    other = MemoryStore()
    scored(other)
    assert rows == take(make_stream(other, {"stream.budget": 0.3}), batch)
    assert pace_of(store).state == pace_of(other).state


def test_a_sample_that_stands_twice_in_a_batch_arrived_once(
    store: MemoryStore,
) -> None:
    scored(store)
    one = arrivals(some(4))
    uids, raw = np.tile(one.uids, 3), np.tile(one.raw, (3, 1))

    queued = make_stream(store, ALL).take(uids, raw, MONDAY)

    assert queued == one.uids.tolist()
    assert pace_of(store).arrived == 4


@pytest.mark.parametrize("state", ItemState)
def test_a_sample_in_the_queue_is_not_asked_again(
    store: MemoryStore, state: ItemState
) -> None:
    scored(store)
    batch = arrivals([0.9])
    store.queue.add(1, [Uid(batch.uids[0])])
    store.tables.items[Uid(batch.uids[0])] = item = Item(
        uid=Uid(batch.uids[0]), state=state, cycle=1
    )

    assert take(make_stream(store, ALL), batch) == []
    assert store.queue.items() == [item]


def test_how_arrivals_are_parted_into_batches_changes_nothing() -> None:
    batch = arrivals(some(120), np.arange(120) % 3)
    values = {"stream.budget": 0.2, "stream.explore": 0.1}
    whole: list[int] | None = None
    for size in (120, 1, 7):
        other = MemoryStore()
        scored(other, cut_at(8, 9, 10))
        stream = make_stream(other, values)

        rows = []
        for start in range(0, 120, size):
            part = batch[start : start + size]
            rows += [start + row for row in take(stream, part)]

        whole = rows if whole is None else whole
        assert rows == whole
    assert whole


class Disturbed(MemoryArrivals):
    """Lets something happen just before a batch is kept."""

    before: Callable[[], object] | None = None

    @override
    def add(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        decided: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        if self.before is not None:
            happens, self.before = self.before, None
            happens()
        return super().add(cycle, asked, pace, before, decided)


def disturbed_store() -> tuple[MemoryStore, Disturbed]:
    store = MemoryStore()
    store.arrivals = disturbed = Disturbed(store.tables, store.rights)
    return store, disturbed


def no_power() -> None:
    msg = "no power"
    raise StoreError(msg)


@pytest.mark.parametrize("controller", ["biqf", "split"])
def test_a_batch_that_was_not_kept_is_decided_in_the_same_way_again(
    controller: str,
) -> None:
    values = {"stream.controller": controller, "stream.budget": 0.3}
    values |= {"stream.explore": 0.2}
    batch = arrivals(some(80))
    smooth, rough, disturbed = MemoryStore(), *disturbed_store()
    for each in (smooth, rough):
        scored(each, cut_at(6, 6, 6))
    stream = make_stream(smooth, values)
    expected = [take(stream, batch[:40]), take(stream, batch[40:])]

    got = []
    for part in (batch[:40], batch[40:]):
        disturbed.before = no_power
        with pytest.raises(StoreError, match="no power"):
            take(make_stream(rough, values), part)
        got.append(take(make_stream(rough, values), part))

    assert got == expected
    assert rough.arrivals.pace() == smooth.arrivals.pace()


def test_two_processes_cannot_spend_the_same_budget() -> None:
    store, disturbed = disturbed_store()
    scored(store)
    stream = make_stream(store, ALL)
    take(stream, arrivals([0.5]))
    batch = arrivals([0.9], seed=2)

    disturbed.before = lambda: take(make_stream(store, ALL), arrivals([0.4], seed=1))
    with pytest.raises(StoreError, match="give this batch again"):
        take(stream, batch)

    assert len(store.queue.items()) == 2
    assert take(stream, batch) == [0]


def test_a_sample_that_a_cut_asked_in_the_meantime_is_the_cuts() -> None:
    store, disturbed = disturbed_store()
    scored(store)
    batch = arrivals([0.9, 0.8])
    first = Uid(batch.uids[0])
    disturbed.before = lambda: store.queue.add(1, [first])

    assert take(make_stream(store, ALL), batch) == [1]

    told = {item.uid: item.origin for item in store.queue.items()}
    assert told[first] is QueryOrigin.CUT
    assert len(told) == 2


def test_an_empty_batch_changes_nothing(store: MemoryStore) -> None:
    scored(store)

    assert take(make_stream(store), arrivals([])) == []
    assert store.arrivals.pace() == b""
