from datetime import timedelta

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.questions import NOON, A, B, C, D, Store, lease

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Label
from fedask.client.records.arrival_pace import Pace
from fedask.client.records.device_store import Waiting
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.records.query_outcome import QueryOutcome, QueryRecord
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid


def scored_of(*uids: Uid) -> Scored:
    scores = np.linspace(1, 0, len(uids), dtype=np.float32)
    return Scored(np.array(uids, dtype=np.str_), scores, np.arange(len(uids)))


def query_record_of(uid: Uid) -> QueryRecord:
    return QueryRecord(
        uid=uid, cycle=1, experts="margin", descriptors=(0.5,), levels=(0.25,)
    )


def pace_of(*uids: Uid) -> bytes:
    return Pace(period=3, last=uids).to_bytes()


def fill(store: Store) -> None:
    """Bring A and B into every corner of a store."""
    store.queue.add(1, [A, B])
    store.arrivals.add(1, {C: QueryOrigin.CHANCE}, pace_of(A, B, C), b"")
    waiting = Waiting(scores={A: 0.9, B: 0.8, C: 0.7}, near=[(A, B), (B, C)])
    store.scores.put("v", scored_of(A, B, C, D), waiting)
    store.query_outcomes.put_asked([query_record_of(A), query_record_of(B)])
    desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=5))
    for number, given in enumerate(desk.lease("ann", 2)):
        desk.submit("ann", given.uid, given.token, Label(number), f"{number}")
    desk.lease("bob", 1)
    found = QueryOutcome(cycle=1, truth=0.25, hit=False)
    store.query_outcomes.put_outcomes({A: found, B: found})
    store.models.put("local", {"w": np.zeros(2, np.float32)}, 1)
    store.queue.trained({A: 0, B: 1}, Training(cycle=1, uids=frozenset({A, B})))
    store.queue.trained({}, Training(cycle=3, uids=frozenset({A})))


def test_nothing_of_an_erased_sample_is_there_and_others_are(store: Store) -> None:
    fill(store)
    others = [item for item in store.queue.items() if item.uid != A]

    store.erasure.forget([A])

    assert store.queue.items() == others
    assert [v.uid for v in store.annotations.newest(9, None)] == [B]
    assert [p.uid for p in store.query_outcomes.all()] == [B]
    kept = store.scores.last()
    assert kept is not None
    assert kept[1].uids.tolist() == [B, C, D]
    assert kept[1].scores.tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert kept[1].groups.tolist() == [1, 2, 3]
    assert (store.annotations.near(A), store.annotations.near(B)) == ([], [C])
    assert Pace.from_bytes(store.arrivals.pace()).last == (B, C)
    progress = store.annotations.progress(NOON - timedelta(days=1))
    assert progress.classes == {1: 1}
    assert progress.annotators == {"ann": 1}
    with pytest.raises(StoreError, match="not in the queue"):
        store.queue.answer({A: 1})


def test_it_is_said_which_models_learnt_from_it(store: Store) -> None:
    fill(store)

    erased = store.erasure.forget([A, B, C, D])

    assert erased.cycles == {A: (1, 3), B: (1,), C: (), D: ()}
    assert erased.models == ("local",)
    assert erased.clean
    again = store.erasure.forget([A])
    assert again.cycles == {A: (1, 3)}


def test_what_was_never_trained_on_touched_no_model(store: Store) -> None:
    fill(store)

    erased = store.erasure.forget([C])

    assert (erased.cycles, erased.models) == ({C: ()}, ())


def test_an_erased_sample_never_comes_back(store: Store) -> None:
    fill(store)
    store.erasure.forget([A])

    assert store.queue.add(2, [A, D])
    assert (
        store.arrivals.add(2, {A: QueryOrigin.SCORE}, b"", store.arrivals.pace())
        == set()
    )
    store.scores.put("w", scored_of(D, A), Waiting(scores={A: 1.0}, near=[(A, D)]))
    store.query_outcomes.put_asked([query_record_of(A)])
    store.queue.trained({A: 0}, Training(cycle=4, uids=frozenset({A, D})))

    assert A not in {item.uid for item in store.queue.items()}
    assert D in {item.uid for item in store.queue.items()}
    kept = store.scores.last()
    assert kept is not None
    assert kept[1].uids.tolist() == [D]
    assert store.annotations.near(D) == []
    assert A not in {p.uid for p in store.query_outcomes.all()}
    assert A not in {given.uid for given in lease(store, 9, "cyd")}
    assert store.erasure.forgotten([A, B, D]) == {A}
    assert store.erasure.forget([A]).cycles == {A: (1, 3)}
    assert store.erasure.forget([D]).cycles == {D: (4,)}


def test_a_sample_may_be_barred_before_it_arrives(store: Store) -> None:
    assert store.erasure.forget([A]).cycles == {A: ()}

    store.queue.add(1, [A])

    assert store.queue.items() == []


def test_numbers_of_annotations_are_not_given_twice(store: Store) -> None:
    store.queue.add(1, [A, B])
    store.queue.answer({A: 1})
    (first,) = store.annotations.newest(9, None)
    store.erasure.forget([A])

    store.queue.answer({B: 1})

    assert [v.number for v in store.annotations.newest(9, None)] == [first.number + 1]


def test_a_correction_of_what_was_trained_on_is_recorded_once(store: Store) -> None:
    store.queue.add(1, [A, B])
    store.queue.answer({A: 1})
    for _ in range(2):
        store.queue.trained({A: 1}, Training(cycle=1, uids=frozenset({A})))
    store.queue.trained({}, Training(cycle=1, uids=frozenset({B})))
    store.queue.trained({}, Training(cycle=0, uids=frozenset({B})))

    assert [item.state for item in store.queue.items()] == [
        ItemState.TRAINED,
        ItemState.QUEUED,
    ]
    assert store.erasure.forget([A, B]).cycles == {A: (1,), B: (0, 1)}
