from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.questions import Store, lease, states

from fedask.client.records.device_store import Waiting
from fedask.client.records.label_queue import ItemState
from fedask.client.records.payload import Payload, StoreQuota
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid, bytes_uid

SIZE = 100
ROOM = 5
Maker = Callable[[int], Store]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    with ExitStack() as opened:

        def maker(room: int) -> Store:
            quota = StoreQuota(max_bytes=room * SIZE)
            store: Store = MemoryStore(quota)
            if request.param == "sqlite":
                store = SqliteStore(tmp_path / "device.db", quota=quota)
            return opened.enter_context(closing(store))

        yield maker


def content(number: int, size: int = SIZE) -> bytes:
    return bytes([number]) * size


def put(store: Store, *numbers: int) -> list[Uid]:
    """Keep payloads; return what went for the last one."""
    gone: list[Uid] = []
    for number in numbers:
        gone = store.payloads.put(uid(number), ".bin", content(number))
    return gone


def uid(number: int) -> Uid:
    return bytes_uid(content(number))


def test_a_payload_is_returned_as_it_was(make: Maker) -> None:
    store = make(ROOM)
    assert store.payloads.put(uid(1), ".png", content(1)) == []

    assert store.payloads.content(uid(1)) == content(1)
    assert store.payloads.all() == [Payload(uid(1), ".png", SIZE)]
    assert put(store, 1) == []  # it stays as it is
    assert store.payloads.all() == [Payload(uid(1), ".png", SIZE)]
    assert store.payloads.dropped() == frozenset()


def test_what_is_not_there_is_named(make: Maker) -> None:
    with pytest.raises(DataError, match=f"sample {uid(1)} is not in the store"):
        make(ROOM).payloads.content(uid(1))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(uid(2), ".png"), (uid(1), "png"), (uid(1), ".PNG"), (uid(1), "./../x")],
)
def test_a_wrong_payload_is_refused(make: Maker, name: Uid, suffix: str) -> None:
    store = make(ROOM)

    with pytest.raises(DataError, match=f"payload {name}"):
        store.payloads.put(name, suffix, content(1))

    assert store.payloads.all() == []


def test_what_is_of_least_use_goes_first(make: Maker) -> None:
    trained, skipped, expired, never, low, high, leased, labelled = map(uid, range(8))
    store = make(8)
    put(store, *range(8))
    store.queue.add(1, [skipped])
    store.queue.move([skipped], ItemState.SKIPPED)
    store.queue.add(2, [trained, expired, low, high, labelled])
    store.queue.answer({trained: 1, labelled: 2})
    store.queue.trained({trained: 1})
    store.queue.move([expired], ItemState.EXPIRED)
    scored = Scored(
        np.array([never]), np.array([0.5], np.float32), np.zeros(1, np.int64)
    )
    store.scores.put("v", scored, Waiting(scores={low: 0.1, high: 0.2}))
    store.queue.add(3, [leased])
    lease(store)  # what has no score yet comes first

    went = [gone for number in range(10, 16) for gone in put(store, number)]

    assert went == [skipped, trained, expired, never, uid(10), uid(11)]
    kept = store.scores.last()
    assert kept is not None
    assert never not in kept[1].uids.tolist()
    assert store.payloads.dropped() == set(went)
    for number in range(12, 16):  # these must not go first
        store.queue.add(number, [uid(number)])
    store.scores.put(
        "w",
        scored,
        Waiting(scores={low: 0.1, high: 0.2, **{uid(n): 0.9 for n in range(12, 16)}}),
    )
    assert put(store, 16) == [low]
    store.queue.add(17, [uid(16)])
    store.queue.answer({uid(n): 1 for n in range(12, 17)})
    assert put(store, 17) == [high]
    assert states(store)[low] is ItemState.EXPIRED
    assert [item.expired for item in store.queue.items() if item.uid == low] == [1]
    store.queue.add(18, [uid(17)])
    store.queue.answer({uid(17): 1})
    before = store.payloads.all()
    with pytest.raises(StoreError, match="must stay until they are trained on"):
        put(store, 18)
    assert store.payloads.all() == before
    assert {leased, labelled} <= {each.uid for each in before}
    assert store.payloads.content(labelled) == content(7)


def test_one_that_needs_much_room_lets_several_go(make: Maker) -> None:
    store = make(ROOM)
    put(store, 1, 2, 3, 4, 5)
    large = content(6, 3 * SIZE)

    assert store.payloads.put(bytes_uid(large), ".bin", large) == [
        uid(1),
        uid(2),
        uid(3),
    ]

    assert {each.uid for each in store.payloads.all()} == {
        uid(4),
        uid(5),
        bytes_uid(large),
    }
    with pytest.raises(StoreError, match="no room"):
        store.payloads.put(bytes_uid(content(7, 9 * SIZE)), ".x", content(7, 9 * SIZE))
    with pytest.raises(DataError, match="not in the store"):
        store.payloads.content(uid(1))
    assert put(store, 1) == [uid(4)]  # it may come again
    assert store.payloads.dropped() == {uid(2), uid(3), uid(4)}


def test_an_erased_sample_has_no_payload_and_gets_none(make: Maker) -> None:
    store = make(ROOM)
    put(store, 1, 2)

    store.erasure.forget([uid(1)])

    assert [each.uid for each in store.payloads.all()] == [uid(2)]
    with pytest.raises(DataError, match="not in the store"):
        store.payloads.content(uid(1))
    with pytest.raises(StoreError, match="was erased"):
        put(store, 1)


def test_a_quota_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 byte"):
        StoreQuota(max_bytes=0)
