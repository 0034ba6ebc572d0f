"""Ways to bring a sample into a state, for the contract of the stores."""

from datetime import UTC, datetime, timedelta

from tests.support.client.clock import FakeClock

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Lease
from fedask.client.records.label_queue import Item, ItemState
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

Store = MemoryStore | SqliteStore

A, B, C, D = (Uid(letter * 32) for letter in "abcd")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bring(store: Store, uid: Uid, state: ItemState, cycle: int = 1) -> Item:
    """Put a new sample into a state by the ordinary way."""
    store.queue.add(cycle, [uid])
    if state is ItemState.LEASED:
        lease(store)
    if state in {ItemState.LABELLED, ItemState.TRAINED}:
        store.queue.answer({uid: 2})
    if state in {ItemState.TRAINED, ItemState.SKIPPED, ItemState.EXPIRED}:
        store.queue.move([uid], state)
    item = only(store)
    assert item.state is state
    return item


def only(store: Store) -> Item:
    (item,) = store.queue.items()
    return item


def states(store: Store) -> dict[Uid, ItemState]:
    return {item.uid: item.state for item in store.queue.items()}


def lease(store: Store, limit: int = 1, who: str = "ann") -> list[Lease]:
    """Give samples to somebody at noon, for a minute."""
    settings = DeskSettings(classes=10, lease_s=MINUTE.total_seconds())
    return Desk(store.annotations, FakeClock(NOON), settings).lease(who, limit)
