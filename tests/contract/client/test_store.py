from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.questions import (
    A,
    B,
    C,
    Store,
    bring,
    lease,
    only,
    states,
)

from fedask.client.records.label_queue import Item, ItemState
from fedask.common.errors import StoreError
from fedask.common.grid import Scored


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.queue.items() == []
    assert store.scores.last() is None
    assert store.cuts.last_cycle() == 0
    assert lease(store, 5) == []


def test_added_samples_are_queued_and_listed_by_uid(store: Store) -> None:
    assert store.queue.add(3, [C, A, B])

    assert store.queue.items() == [
        Item(uid=uid, state=ItemState.QUEUED, cycle=3) for uid in (A, B, C)
    ]
    assert store.cuts.last_cycle() == 3


@pytest.mark.parametrize("cycle", [1, 2, 3])
def test_a_cycle_that_is_not_later_adds_nothing(store: Store, cycle: int) -> None:
    store.queue.add(3, [A])

    assert not store.queue.add(cycle, [A, B])

    assert states(store) == {A: ItemState.QUEUED}
    assert store.cuts.last_cycle() == 3


def test_a_cycle_that_buys_nothing_is_remembered(store: Store) -> None:
    assert store.queue.add(1, [])

    assert store.cuts.last_cycle() == 1
    assert not store.queue.add(1, [A])


def test_a_sample_added_twice_in_one_cut_is_asked_once(store: Store) -> None:
    store.queue.add(1, [A, A])

    assert only(store).asked == 1


@pytest.mark.parametrize("state", [s for s in ItemState if s is not ItemState.EXPIRED])
def test_a_sample_in_the_queue_is_left_alone_by_a_later_cut(
    store: Store, state: ItemState
) -> None:
    before = bring(store, A, state)

    assert store.queue.add(2, [A])

    assert only(store) == before


def test_an_expired_sample_is_queued_again_and_counted(store: Store) -> None:
    bring(store, A, ItemState.EXPIRED)

    store.queue.add(2, [A, A])

    again = Item(uid=A, state=ItemState.QUEUED, cycle=2, asked=2, expired=1)
    assert only(store) == again
    store.queue.move([A], ItemState.EXPIRED)
    assert only(store).expired == 2


@pytest.mark.parametrize("state", [ItemState.QUEUED, ItemState.LEASED])
def test_an_answer_is_kept(store: Store, state: ItemState) -> None:
    bring(store, A, state)

    assert store.queue.answer({A: 0})

    assert only(store) == Item(
        uid=A, state=ItemState.LABELLED, cycle=1, label=0, outcome=ItemState.LABELLED
    )


@pytest.mark.parametrize("state", [ItemState.LABELLED, ItemState.TRAINED])
@pytest.mark.parametrize("label", [2, 0])
def test_a_second_answer_changes_nothing(
    store: Store, state: ItemState, label: int
) -> None:
    before = bring(store, A, state)

    assert not store.queue.answer({A: label})

    assert only(store) == before
    assert before.label == 2


def test_several_answers_are_kept_together_and_those_that_are_new_are_named(
    store: Store,
) -> None:
    store.queue.add(1, [A, B, C])
    store.queue.answer({B: 2})

    assert store.queue.answer({A: 0, B: 1, C: 1}) == {A, C}

    labels = {item.uid: item.label for item in store.queue.items()}
    assert labels == {A: 0, B: 2, C: 1}


def test_of_several_answers_none_is_kept_if_one_is_refused(store: Store) -> None:
    store.queue.add(1, [A, B])
    store.queue.move([B], ItemState.EXPIRED)

    with pytest.raises(StoreError, match=f"sample {B} is expired"):
        store.queue.answer({A: 0, B: 1})

    assert [item.label for item in store.queue.items()] == [None, None]


@pytest.mark.parametrize("state", [ItemState.SKIPPED, ItemState.EXPIRED])
def test_an_answer_to_a_closed_question_is_refused(
    store: Store, state: ItemState
) -> None:
    before = bring(store, A, state)

    with pytest.raises(StoreError, match=f"{A} is {state}, it cannot become labelled"):
        store.queue.answer({A: 1})

    assert only(store) == before


def test_an_answer_for_an_unknown_sample_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=f"{A} is not in the queue"):
        store.queue.answer({A: 1})

    assert store.queue.items() == []


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_scores_come_back_exactly(store: Store, count: int) -> None:
    rng = np.random.default_rng(0)
    scored = Scored.ranked(
        np.array([f"{i:032x}" for i in range(count)], dtype=np.str_),
        rng.random(count, dtype=np.float32),
        rng.integers(0, 4096, count),
    )

    store.scores.put("00ff", scored)

    kept = store.scores.last()
    assert kept is not None
    assert kept[0] == "00ff"
    for name in ("uids", "scores", "groups"):
        before, after = getattr(scored, name), getattr(kept[1], name)
        assert np.array_equal(before, after)
        assert before.dtype.kind == after.dtype.kind
        assert count == 0 or before.dtype == after.dtype


def test_new_scores_replace_the_old_ones(store: Store) -> None:
    for version in ("first", "second"):
        uids = np.array([version[0] * 32])
        scored = Scored(uids, np.ones(1, np.float32), np.zeros(1, np.int64))
        store.scores.put(version, scored)

    kept = store.scores.last()
    assert kept is not None
    assert kept[0] == "second"
    assert kept[1].uids.tolist() == ["s" * 32]


def test_scores_and_queue_do_not_touch_each_other(store: Store) -> None:
    bring(store, A, ItemState.LABELLED)
    before = store.queue.items(), store.cuts.last_cycle()

    store.scores.put(
        "v", Scored(np.array([A]), np.ones(1, np.float32), np.zeros(1, np.int64))
    )

    assert (store.queue.items(), store.cuts.last_cycle()) == before


def model(value: float) -> dict[str, NDArray[Any]]:
    return {
        "layer.weight": np.full((2, 3), value, dtype=np.float32),
        "steps": np.array(7),
    }


def test_of_models_of_a_kind_the_newest_are_kept(store: Store) -> None:
    assert store.models.all("global") == []
    store.models.put("local", model(9.0), keep=1)

    for value in (1.0, 2.0, 3.0):
        store.models.put("global", model(value), keep=2)

    kept = store.models.all("global")
    assert [float(arrays["layer.weight"][0, 0]) for arrays in kept] == [2.0, 3.0]
    assert kept[0]["layer.weight"].shape == (2, 3)
    assert kept[0]["layer.weight"].dtype == np.float32
    assert kept[0]["steps"].shape == ()
    assert int(kept[0]["steps"]) == 7
    assert float(store.models.all("local")[0]["layer.weight"][0, 0]) == 9.0


def test_fewer_models_may_be_kept_than_before(store: Store) -> None:
    for value in (1.0, 2.0, 3.0):
        store.models.put("global", model(value), keep=3)

    store.models.put("global", model(4.0), keep=1)

    assert len(store.models.all("global")) == 1
