"""Query records, on both stores."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.client.questions import A, B, C, Store, bring

from fedask.client.records.label_queue import ItemState
from fedask.client.records.query_outcome import (
    MAX_QUERY_RECORDS,
    QueryOutcome,
    QueryRecord,
    history_of,
)
from fedask.common.ids import Uid

THIRD = float(np.float32(1 / 3))  # not a short number in binary


def asked(uid: Uid, cycle: int = 1, score: float = THIRD) -> QueryRecord:
    return QueryRecord(
        uid=uid,
        cycle=cycle,
        experts="margin, random",
        descriptors=(score, 1.0),
        levels=(0.5, THIRD),
    )


def found(cycle: int = 1, truth: float = THIRD, *, hit: bool = False) -> QueryOutcome:
    return QueryOutcome(cycle=cycle, truth=truth, hit=hit)


def test_a_new_store_has_no_query_record(store: Store) -> None:
    assert store.query_outcomes.all() == []


def test_query_records_come_back_exactly_by_uid(store: Store) -> None:
    store.query_outcomes.put_asked([asked(B), asked(A, score=0.0)])

    assert store.query_outcomes.all() == [asked(A, score=0.0), asked(B)]


@pytest.mark.parametrize("hit", [False, True])
def test_a_finding_completes_a_query_record(store: Store, hit: bool) -> None:
    store.query_outcomes.put_asked([asked(A), asked(B)])

    store.query_outcomes.put_outcomes({B: found(4, hit=hit)})

    after = replace(asked(B), outcome=found(4, hit=hit))
    assert store.query_outcomes.all() == [asked(A), after]


def test_the_first_finding_is_kept(store: Store) -> None:
    store.query_outcomes.put_asked([asked(A)])

    store.query_outcomes.put_outcomes({A: found(2)})
    store.query_outcomes.put_outcomes({A: found(3, 1.0, hit=True)})

    (kept,) = store.query_outcomes.all()
    assert kept.outcome == found(2)


def test_a_finding_without_a_query_record_is_ignored(store: Store) -> None:
    store.query_outcomes.put_asked([asked(A)])

    store.query_outcomes.put_outcomes({B: found(), A: found(7)})

    assert [p.uid for p in store.query_outcomes.all()] == [A]
    assert store.query_outcomes.all()[0].outcome == found(7)


def test_a_question_asked_again_is_recorded_anew(store: Store) -> None:
    store.query_outcomes.put_asked([asked(A), asked(B)])

    store.query_outcomes.put_asked([asked(A, cycle=5, score=1.0)])

    assert store.query_outcomes.all() == [asked(A, cycle=5, score=1.0), asked(B)]


def test_one_that_has_a_finding_is_left_alone(store: Store) -> None:
    store.query_outcomes.put_asked([asked(A)])
    store.query_outcomes.put_outcomes({A: found()})
    before = store.query_outcomes.all()

    store.query_outcomes.put_asked([asked(A, cycle=5, score=1.0)])

    assert store.query_outcomes.all() == before


def test_an_outcome_comes_from_put_outcomes_alone(store: Store) -> None:
    store.query_outcomes.put_asked([replace(asked(A), outcome=found())])

    assert store.query_outcomes.all() == [asked(A)]


def test_beyond_the_limit_the_oldest_go_then_the_last_by_uid(
    store: Store,
) -> None:
    uids = [Uid(f"{number:032x}") for number in range(MAX_QUERY_RECORDS)]
    store.query_outcomes.put_asked(
        [asked(B, cycle=1), asked(A, cycle=2), asked(C, cycle=1)]
    )
    store.query_outcomes.put_outcomes({C: found()})

    store.query_outcomes.put_asked([asked(uid, cycle=3) for uid in uids[2:]])
    left = {p.uid for p in store.query_outcomes.all()}
    assert left == {*uids[2:], A, B}
    store.query_outcomes.put_asked([asked(uid, cycle=3) for uid in uids])

    assert [p.uid for p in store.query_outcomes.all()] == uids


def test_query_records_and_queue_do_not_touch_each_other(store: Store) -> None:
    bring(store, A, ItemState.LABELLED)
    before = store.queue.items()

    store.query_outcomes.put_asked([asked(A), asked(B)])
    store.query_outcomes.put_outcomes({A: found()})

    assert store.queue.items() == before
    store.queue.move([A], ItemState.TRAINED)
    assert len(store.query_outcomes.all()) == 2


def test_a_history_has_what_was_found_with_the_same_experts_in_order(
    store: Store,
) -> None:
    d = Uid("d" * 32)
    store.query_outcomes.put_asked(
        [asked(A, score=0.25), asked(B), asked(C, score=0.75)]
    )
    store.query_outcomes.put_asked([replace(asked(d), experts="margin, entropy")])
    store.query_outcomes.put_outcomes(
        {A: found(3), C: found(2, 0.5, hit=True), d: found(1)}
    )

    history = history_of(store.query_outcomes.all(), "margin, random", 2, 9)

    assert history.cycles.tolist() == [2, 3]
    assert history.descriptors.tolist() == [[0.75, 1.0], [0.25, 1.0]]
    assert history.levels.tolist() == [[0.5, THIRD]] * 2
    assert history.truths.tolist() == [0.5, THIRD]
    assert history.hits.tolist() == [True, False]
    assert history.planned == 9


def test_a_history_of_nothing_has_a_column_per_expert(store: Store) -> None:
    store.query_outcomes.put_asked([asked(A)])

    history = history_of(store.query_outcomes.all(), "margin, random", 2, 9)

    assert len(history) == 0
    assert history.descriptors.shape == history.levels.shape == (0, 2)
