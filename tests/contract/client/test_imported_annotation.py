from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.questions import MINUTE, NOON, A, B, C, Store, only, states

from fedask.client.labelling.desk.answer import MAX_KEY
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.desk.imported_annotation import AHEAD, Acceptance
from fedask.client.records.annotation import Annotation, Kind, Label
from fedask.client.records.label_queue import ItemState, totals
from fedask.common.errors import ProtocolError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

ANN, BOB, CYD = Annotator("ann"), Annotator("bob"), Annotator("cyd")


def desk(store: Store, rule: str = "one") -> Desk:
    settings = DeskSettings(classes=5, rule=rule, lease_s=60.0)
    return Desk(store.annotations, FakeClock(NOON), settings)


def said(
    label: int | None = 1,
    *,
    uid: Uid = A,
    who: Annotator = ANN,
    key: str = "k",
    at: datetime | None = NOON - MINUTE,
    kind: Kind = Kind.LABEL,
) -> Annotation:
    return Annotation(uid=uid, annotator=who, kind=kind, label=label, at=at, key=key)


def standing(store: Store) -> list[Annotation]:
    return [
        v for v in reversed(store.annotations.newest(100, None)) if v.undone is None
    ]


def test_a_annotation_without_a_lease_is_kept_as_it_was_given(store: Store) -> None:
    store.queue.add(1, [A])

    assert desk(store).accept([said(3)]) == [Acceptance.KEPT]

    (kept,) = standing(store)
    assert replace(kept, number=0, place=0) == said(3)
    assert (only(store).state, only(store).label) == (ItemState.LABELLED, 3)


def test_the_same_key_again_changes_nothing(store: Store) -> None:
    store.queue.add(1, [A])
    desk(store).accept([said(3)])
    before = store.queue.items(), store.annotations.newest(9, None)

    assert desk(store).accept([said(4)]) == [Acceptance.KNOWN]
    assert (store.queue.items(), store.annotations.newest(9, None)) == before


def test_the_same_act_under_another_key_changes_nothing(store: Store) -> None:
    store.queue.add(1, [A, B])
    desk(store).accept([said(3), said(2, uid=B, key="l", at=None)])

    again = [said(3, key="other"), said(2, uid=B, key="another", at=None)]

    assert desk(store).accept(again) == [Acceptance.KNOWN] * 2
    assert len(store.annotations.newest(9, None)) == 2


def test_what_was_taken_back_here_does_not_come_back(store: Store) -> None:
    store.queue.add(1, [A])
    desk(store).accept([said(3)])
    desk(store).undo("ann")

    assert desk(store).accept([said(3)]) == [Acceptance.KNOWN]
    assert desk(store).accept([said(3, key="other")]) == [Acceptance.KNOWN]
    assert standing(store) == []


def test_what_was_taken_back_elsewhere_waits_again(store: Store) -> None:
    store.queue.add(1, [A, B])
    desk(store).accept([said(3), said(3, uid=B, who=BOB), said(2, uid=B, who=CYD)])
    mine, his, _ = standing(store)

    back = desk(store).retract([mine, his])

    assert back == [mine, his]
    assert [v.annotator for v in standing(store)] == [CYD]
    assert states(store) == {A: ItemState.QUEUED, B: ItemState.LABELLED}
    assert next(item.label for item in store.queue.items() if item.uid == B) == 2
    assert desk(store).accept([said(3)]) == [Acceptance.KNOWN]
    assert desk(store).lease("ann", 2)[0].uid == A


def test_what_does_not_stand_is_not_taken_back(store: Store) -> None:
    store.queue.add(1, [A, B])
    office = desk(store)
    office.accept([said(3), said(3, uid=B, key="l")])
    first, trained = standing(store)
    office.accept([said(2, key="m", at=NOON)])
    store.queue.trained({B: 3})
    before = store.queue.items(), store.annotations.newest(9, None)

    never = said(1, key="never", uid=B)
    assert office.retract([first, trained, never]) == []

    assert (store.queue.items(), store.annotations.newest(9, None)) == before


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_of_an_annotator_stands_in_whatever_order_they_come(
    store: Store, order: tuple[int, ...]
) -> None:
    store.queue.add(1, [A])
    all_of_it = [
        said(label, key=f"k{label}", at=None if label == 0 else NOON + label * MINUTE)
        for label in range(3)
    ]

    for number in order:
        desk(store).accept([all_of_it[number]])

    assert [v.label for v in standing(store)] == [2]
    assert only(store).label == 2


def test_an_older_annotation_is_late(store: Store) -> None:
    store.queue.add(1, [A])
    office = desk(store)
    (lease,) = office.lease("ann", 1)
    office.submit("ann", A, lease.token, Label(2), "page")

    assert office.accept([said(3, at=NOON - MINUTE)]) == [Acceptance.LATE]
    assert office.accept([said(3, at=None, key="l")]) == [Acceptance.LATE]
    assert office.accept([said(3, at=NOON + MINUTE, key="m")]) == [Acceptance.KEPT]
    assert only(store).label == 3


def test_a_sample_that_is_not_in_the_queue_is_named_and_the_rest_is_kept(
    store: Store,
) -> None:
    store.queue.add(1, [A])

    assert desk(store).accept([said(uid=C), said()]) == [
        Acceptance.UNKNOWN,
        Acceptance.KEPT,
    ]


def test_one_wrong_annotation_keeps_all_of_them_out(store: Store) -> None:
    store.queue.add(1, [A, B])

    with pytest.raises(ProtocolError, match="label 5 is not one of 5 classes"):
        desk(store).accept([said(), said(5, uid=B)])

    assert store.annotations.newest(9, None) == []
    assert set(states(store).values()) == {ItemState.QUEUED}


def test_labels_from_elsewhere_are_opinions_and_given_ones_are_not(
    store: Store,
) -> None:
    store.queue.add(1, [A, B])
    office = desk(store, "two")

    office.accept([said(1), said(1, uid=B, kind=Kind.GIVEN)])
    assert states(store) == {A: ItemState.QUEUED, B: ItemState.LABELLED}

    office.accept([said(1, who=BOB)])
    assert states(store)[A] is ItemState.LABELLED


def test_skips_and_doubts_count_as_at_the_desk(store: Store) -> None:
    store.queue.add(1, [A, B])
    office = desk(store)

    office.accept([said(None, kind=Kind.SKIP), said(None, uid=B, kind=Kind.UNSURE)])
    assert states(store) == {A: ItemState.SKIPPED, B: ItemState.QUEUED}

    office.accept([said(None, uid=B, who=BOB, kind=Kind.UNSURE)])
    assert states(store)[B] is ItemState.SKIPPED


def test_leases_of_a_sample_settled_elsewhere_end(store: Store) -> None:
    store.queue.add(1, [A])
    office = desk(store)
    (lease,) = office.lease("bob", 1)

    office.accept([said(3)])

    assert only(store).state is ItemState.LABELLED
    receipt = office.submit("bob", A, lease.token, Label(1), "late")
    assert receipt.label == 1
    assert only(store).label == 3


def test_a_correction_of_what_was_trained_on_is_trained_on_again(store: Store) -> None:
    store.queue.add(1, [A])
    desk(store).accept([said(3)])
    store.queue.trained({A: 3})

    desk(store).accept([said(3, key="l", at=NOON)])
    assert only(store).state is ItemState.TRAINED

    desk(store).accept([said(4, key="m", at=NOON + MINUTE)])
    assert (only(store).state, only(store).label) == (ItemState.LABELLED, 4)


def test_an_expired_question_counts_as_asked_once_more(store: Store) -> None:
    store.queue.add(1, [A])
    store.queue.move([A], ItemState.EXPIRED)

    desk(store).accept([said(3)])

    assert totals(store.queue.items()) == (2, 1, 0, 1)


def test_a_key_shared_by_near_duplicates_is_kept_for_each(store: Store) -> None:
    store.queue.add(1, [A, B])
    pair = [said(1), said(1, uid=B, kind=Kind.SHARED)]

    assert desk(store).accept(pair) == [Acceptance.KEPT] * 2
    assert desk(store).accept(pair) == [Acceptance.KNOWN] * 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (said(who=Annotator("not a name")), "annotator 'not a name' must be"),
        (said(key=""), "must have 1 to 128 characters"),
        (said(key="k" * (MAX_KEY + 1)), "must have 1 to 128 characters"),
        (said(1, kind=Kind.SKIP), "skip goes without a label"),
        (said(None), "label None is not one of 5 classes"),
        (said(-1), "label -1 is not one of 5 classes"),
        (said(at=datetime(2026, 1, 1)), "has no time zone"),  # noqa: DTZ001
        (said(at=NOON + AHEAD + timedelta(seconds=1)), "lies in the future"),
        (replace(said(), token="t"), "has no number, token or place"),  # noqa: S106
        (replace(said(), number=1), "has no number, token or place"),
        (replace(said(), undone=datetime(2026, 1, 1, tzinfo=UTC)), "was not undone"),
        (replace(said(), control=True), "is no control"),
    ],
)
def test_what_no_person_may_have_said_is_refused(
    store: Store, wrong: Annotation, reason: str
) -> None:
    store.queue.add(1, [A])

    with pytest.raises(ProtocolError, match=reason):
        desk(store).accept([wrong])


def test_a_running_control_lease_outlives_an_import(store: Store) -> None:
    store.queue.add(1, [A, B])
    desk(store).accept([said(3, kind=Kind.GIVEN, who=CYD)])
    settings = DeskSettings(classes=5, controls=0.99, lease_s=60.0)
    office = Desk(store.annotations, FakeClock(NOON), settings, tokens=lambda: "t")
    (lease,) = office.lease("ann", 1)
    assert lease.uid == A

    office.accept([said(2)])
    (again,) = office.lease("ann", 1)

    assert again == lease


def test_what_waits_is_listed_in_the_order_it_is_given_out(store: Store) -> None:
    uids = np.array([B, C], dtype=np.str_)
    scored = Scored(uids, np.array([0.5, 0.25], dtype=np.float32), np.zeros(2, int))
    store.scores.put("m", scored)
    store.queue.add(1, [A, B, C])
    desk(store).accept([said(uid=C)])

    assert store.annotations.waiting() == [(A, 1.0), (B, 0.5)]
    assert [lease.uid for lease in desk(store).lease("bob", 9)] == [A, B]
