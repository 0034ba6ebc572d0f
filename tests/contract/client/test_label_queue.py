import pytest
from tests.support.client.questions import A, B, C, Store, bring, lease, only, states

from fedask.client.records.label_queue import MOVES, ItemState
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

PAIRS = [(start, to) for start in ItemState for to in ItemState if start is not to]


@pytest.mark.parametrize(("start", "to"), [p for p in PAIRS if p[1] in MOVES[p[0]]])
def test_every_move_of_the_table_is_possible(
    store: Store, start: ItemState, to: ItemState
) -> None:
    bring(store, A, start)

    if to is ItemState.LEASED:
        lease(store)
    elif to is ItemState.LABELLED:
        store.queue.answer({A: 1})
    elif start is ItemState.EXPIRED:
        store.queue.add(2, [A])
    else:
        store.queue.move([A], to)

    item = only(store)
    assert item.state is to
    assert (item.label is not None) == (to in {ItemState.LABELLED, ItemState.TRAINED})
    assert (item.leased_until is not None) == (to is ItemState.LEASED)
    assert item.asked - item.expired == (to is not ItemState.EXPIRED)


@pytest.mark.parametrize(("start", "to"), [p for p in PAIRS if p[1] not in MOVES[p[0]]])
def test_every_other_move_is_refused(
    store: Store, start: ItemState, to: ItemState
) -> None:
    before = bring(store, A, start)

    with pytest.raises(StoreError, match=f"{A} is {start}, it cannot become {to}"):
        store.queue.move([A], to)

    assert only(store) == before


@pytest.mark.parametrize(
    ("start", "to", "method"),
    [
        (ItemState.QUEUED, ItemState.LEASED, "lease"),
        (ItemState.QUEUED, ItemState.LABELLED, "answer"),
        (ItemState.LEASED, ItemState.LABELLED, "answer"),
        (ItemState.EXPIRED, ItemState.QUEUED, "add"),
    ],
)
def test_a_move_that_needs_a_time_a_label_or_a_cycle_has_its_own_method(
    store: Store, start: ItemState, to: ItemState, method: str
) -> None:
    before = bring(store, A, start)

    with pytest.raises(StoreError, match=f"{A} becomes {to} by {method}"):
        store.queue.move([A], to)

    assert only(store) == before


@pytest.mark.parametrize("state", ItemState)
def test_a_move_to_the_same_state_changes_nothing(
    store: Store, state: ItemState
) -> None:
    before = bring(store, A, state)

    store.queue.move([A], state)

    assert only(store) == before


@pytest.mark.parametrize("order", [(A, B, C), (C, B, A), (B, A, C)])
def test_a_failing_move_moves_nothing(store: Store, order: tuple[Uid, ...]) -> None:
    store.queue.add(1, [A, B, C])
    store.queue.answer({B: 1})
    before = store.queue.items()

    with pytest.raises(StoreError, match=B):
        store.queue.move(order, ItemState.EXPIRED)

    assert store.queue.items() == before


def test_a_move_of_an_unknown_sample_moves_nothing(store: Store) -> None:
    store.queue.add(1, [A])

    with pytest.raises(StoreError, match=f"{B} is not in the queue"):
        store.queue.move([A, B], ItemState.SKIPPED)

    assert states(store) == {A: ItemState.QUEUED}


def test_a_sample_named_twice_in_a_move_expires_once(store: Store) -> None:
    store.queue.add(1, [A])

    store.queue.move(iter([A, A]), ItemState.EXPIRED)

    assert only(store).expired == 1


def test_what_may_not_move_any_more_is_left_alone_on_request(store: Store) -> None:
    store.queue.add(1, [A, B])
    store.queue.answer({B: 1})

    store.queue.move([A, B], ItemState.EXPIRED, meanwhile=True)

    assert states(store) == {A: ItemState.EXPIRED, B: ItemState.LABELLED}


def test_only_a_label_that_still_stands_was_trained_on(store: Store) -> None:
    store.queue.add(1, [A, B, C])
    store.queue.answer({A: 1, B: 2})

    store.queue.trained({A: 1, B: 0, C: 1})

    expected = {A: ItemState.TRAINED, B: ItemState.LABELLED, C: ItemState.QUEUED}
    assert states(store) == expected
