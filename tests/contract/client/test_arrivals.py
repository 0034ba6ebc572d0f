"""The way in for samples that arrive, and what the stream keeps."""

import pytest
from tests.support.client.questions import A, B, C, Store, bring, only, states

from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.common.cut import Cut
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

CUTS = [
    Cut(cycle=1, model_version="", nonce=0, take=3),
    Cut(
        cycle=7,
        model_version="0123456789abcdef",
        nonce=2**63 - 1,
        theta=(0, 64, 12),
        boundary=2,
        rho=0.1 + 0.2,
        ticket=1 / 3,
    ),
]


def test_a_new_store_has_neither_cut_nor_pace(store: Store) -> None:
    assert store.cuts.last() is None
    assert store.arrivals.pace() == b""


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_comes_back_exactly(store: Store, cut: Cut) -> None:
    store.cuts.put(CUTS[0])
    store.cuts.put(cut)

    assert store.cuts.last() == cut


def test_arrivals_are_queued_with_their_origin_and_the_pace_is_kept(
    store: Store,
) -> None:
    asked = {B: QueryOrigin.SCORE, A: QueryOrigin.CHANCE}

    assert store.arrivals.add(3, asked, b"\x00pace\xff", b"") == {A, B}

    assert store.queue.items() == [
        Item(uid=A, state=ItemState.QUEUED, cycle=3, origin=QueryOrigin.CHANCE),
        Item(uid=B, state=ItemState.QUEUED, cycle=3, origin=QueryOrigin.SCORE),
    ]
    assert store.arrivals.pace() == b"\x00pace\xff"
    assert store.cuts.last_cycle() == 0  # that cycle's cut is still welcome
    assert store.queue.add(3, [C])


def test_a_cycle_has_any_number_of_arrivals(store: Store) -> None:
    store.queue.add(2, [A])

    store.arrivals.add(2, {B: QueryOrigin.SCORE}, b"1", b"")
    store.arrivals.add(2, {C: QueryOrigin.SCORE}, b"2", b"1")
    store.arrivals.add(2, {}, b"3", b"2")

    assert states(store) == dict.fromkeys((A, B, C), ItemState.QUEUED)
    assert [item.origin for item in store.queue.items()] == [
        QueryOrigin.CUT,
        QueryOrigin.SCORE,
        QueryOrigin.SCORE,
    ]
    assert store.arrivals.pace() == b"3"


@pytest.mark.parametrize("state", ItemState)
def test_an_arrival_in_the_queue_is_left_alone(store: Store, state: ItemState) -> None:
    before = bring(store, A, state)

    fresh = store.arrivals.add(
        2, {A: QueryOrigin.SCORE, B: QueryOrigin.SCORE}, b"", b""
    )

    assert fresh == {B}
    assert store.queue.items()[0] == before


def test_an_arrival_added_twice_is_asked_once(store: Store) -> None:
    store.arrivals.add(1, {A: QueryOrigin.CHANCE}, b"1", b"")

    assert store.arrivals.add(2, {A: QueryOrigin.SCORE}, b"2", b"1") == frozenset()

    assert only(store) == Item(
        uid=A, state=ItemState.QUEUED, cycle=1, origin=QueryOrigin.CHANCE
    )


def test_an_expired_arrival_that_a_cut_asks_again_is_the_cuts(
    store: Store,
) -> None:
    store.arrivals.add(1, {A: QueryOrigin.SCORE}, b"", b"")
    store.queue.move([A], ItemState.EXPIRED)

    store.queue.add(2, [A])

    again = Item(uid=A, state=ItemState.QUEUED, cycle=2, asked=2, expired=1)
    assert only(store) == again


@pytest.mark.parametrize("before", [b"", b"0", b"2"])
def test_a_batch_on_another_pace_is_refused_whole(store: Store, before: bytes) -> None:
    store.arrivals.add(1, {A: QueryOrigin.SCORE}, b"1", b"")

    with pytest.raises(StoreError, match="give this batch again"):
        store.arrivals.add(1, {B: QueryOrigin.SCORE}, b"3", before)

    assert states(store) == {A: ItemState.QUEUED}
    assert store.arrivals.pace() == b"1"


def test_an_arrival_is_answered_like_any_other(store: Store) -> None:
    store.arrivals.add(1, {A: QueryOrigin.SCORE}, b"", b"")

    assert store.queue.answer({A: 2}) == {A}

    item = only(store)
    assert (item.label, item.origin) == (2, QueryOrigin.SCORE)


def test_what_was_decided_about_is_known_until_it_is_forgotten(store: Store) -> None:
    store.arrivals.add(1, {A: QueryOrigin.SCORE}, b"", b"", [A, B])
    store.arrivals.add(1, {}, b"", b"", [B, C])

    assert store.arrivals.decided([A, B, C, Uid("d" * 32)]) == {A, B, C}
    assert store.arrivals.decided([]) == frozenset()
    store.erasure.forget([B])
    assert store.arrivals.decided([A, B, C]) == {A, C}


def test_a_batch_that_is_refused_is_not_taken(store: Store) -> None:
    with pytest.raises(StoreError):
        store.arrivals.add(1, {}, b"1", b"another", [A])

    assert store.arrivals.decided([A]) == frozenset()
