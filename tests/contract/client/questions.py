"""Ways to bring a sample into a state, for the contract of the stores."""

from datetime import UTC, datetime, timedelta

from fedask.client.queue import DeviceStore, Item, State
from fedask.common.ids import Uid

A, B, C, D = (Uid(letter * 32) for letter in "abcd")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bring(store: DeviceStore, uid: Uid, state: State, cycle: int = 1) -> Item:
    """Put a new sample into a state by the ordinary way."""
    store.add(cycle, [uid])
    if state is State.LEASED:
        store.lease(1, NOON, NOON + MINUTE)
    if state in {State.LABELLED, State.TRAINED}:
        store.answer({uid: 2})
    if state in {State.TRAINED, State.SKIPPED, State.EXPIRED}:
        store.move([uid], state)
    item = only(store)
    assert item.state is state
    return item


def only(store: DeviceStore) -> Item:
    (item,) = store.items()
    return item


def states(store: DeviceStore) -> dict[Uid, State]:
    return {item.uid: item.state for item in store.items()}
