import pytest
from tests.support.client.questions import A, B, C, Store, bring, lease, only, states

from fedask.client.records.label_queue import MOVES, State
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

PAIRS = [(start, to) for start in State for to in State if start is not to]


@pytest.mark.parametrize(("start", "to"), [p for p in PAIRS if p[1] in MOVES[p[0]]])
def test_every_move_of_the_table_is_possible(
    store: Store, start: State, to: State
) -> None:
    bring(store, A, start)

    if to is State.LEASED:
        lease(store)
    elif to is State.LABELLED:
        store.answer({A: 1})
    elif start is State.EXPIRED:
        store.add(2, [A])
    else:
        store.move([A], to)

    item = only(store)
    assert item.state is to
    assert (item.label is not None) == (to in {State.LABELLED, State.TRAINED})
    assert (item.leased_until is not None) == (to is State.LEASED)
    assert item.asked - item.expired == (to is not State.EXPIRED)


@pytest.mark.parametrize(("start", "to"), [p for p in PAIRS if p[1] not in MOVES[p[0]]])
def test_every_other_move_is_refused(store: Store, start: State, to: State) -> None:
    before = bring(store, A, start)

    with pytest.raises(StoreError, match=f"{A} is {start}, it cannot become {to}"):
        store.move([A], to)

    assert only(store) == before


@pytest.mark.parametrize(
    ("start", "to", "method"),
    [
        (State.QUEUED, State.LEASED, "lease"),
        (State.QUEUED, State.LABELLED, "answer"),
        (State.LEASED, State.LABELLED, "answer"),
        (State.EXPIRED, State.QUEUED, "add"),
    ],
)
def test_a_move_that_needs_a_time_a_label_or_a_cycle_has_its_own_method(
    store: Store, start: State, to: State, method: str
) -> None:
    before = bring(store, A, start)

    with pytest.raises(StoreError, match=f"{A} becomes {to} by {method}"):
        store.move([A], to)

    assert only(store) == before


@pytest.mark.parametrize("state", State)
def test_a_move_to_the_same_state_changes_nothing(store: Store, state: State) -> None:
    before = bring(store, A, state)

    store.move([A], state)

    assert only(store) == before


@pytest.mark.parametrize("order", [(A, B, C), (C, B, A), (B, A, C)])
def test_a_failing_move_moves_nothing(store: Store, order: tuple[Uid, ...]) -> None:
    store.add(1, [A, B, C])
    store.answer({B: 1})
    before = store.items()

    with pytest.raises(StoreError, match=B):
        store.move(order, State.EXPIRED)

    assert store.items() == before


def test_a_move_of_an_unknown_sample_moves_nothing(store: Store) -> None:
    store.add(1, [A])

    with pytest.raises(StoreError, match=f"{B} is not in the queue"):
        store.move([A, B], State.SKIPPED)

    assert states(store) == {A: State.QUEUED}


def test_a_sample_named_twice_in_a_move_expires_once(store: Store) -> None:
    store.add(1, [A])

    store.move(iter([A, A]), State.EXPIRED)

    assert only(store).expired == 1


def test_what_may_not_move_any_more_is_left_alone_on_request(store: Store) -> None:
    store.add(1, [A, B])
    store.answer({B: 1})

    store.move([A, B], State.EXPIRED, meanwhile=True)

    assert states(store) == {A: State.EXPIRED, B: State.LABELLED}


def test_only_a_label_that_still_stands_was_trained_on(store: Store) -> None:
    store.add(1, [A, B, C])
    store.answer({A: 1, B: 2})

    store.trained({A: 1, B: 0, C: 1})

    expected = {A: State.TRAINED, B: State.LABELLED, C: State.QUEUED}
    assert states(store) == expected
