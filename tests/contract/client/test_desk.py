from datetime import timedelta
from itertools import count

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.questions import (
    MINUTE,
    NOON,
    A,
    B,
    C,
    D,
    Store,
    only,
    states,
)

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    Choice,
    Kind,
    Label,
    Lease,
    Receipt,
)
from fedask.client.records.device_store import Waiting
from fedask.client.records.label_queue import ItemState, totals
from fedask.client.records.refusal import (
    LeaseError,
    NotLastError,
    UnknownSampleError,
)
from fedask.common.errors import ConfigError, ProtocolError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid


class Office:
    """A desk, its clock, and people with their own keys."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = FakeClock(NOON)
        self.keys = count()
        self.desk = self.under("one")

    def under(self, rule: str, *, unsure: int = 2, controls: float = 0.0) -> Desk:
        tokens = count()
        self.desk = Desk(
            self.store.annotations,
            self.clock,
            DeskSettings(
                classes=5, rule=rule, lease_s=60.0, unsure=unsure, controls=controls
            ),
            tokens=lambda: f"token-{next(tokens)}",
        )
        return self.desk

    def takes(self, who: str, limit: int = 1) -> list[Uid]:
        return [lease.uid for lease in self.desk.lease(who, limit)]

    def says(self, who: str, choice: Choice | int, uid: Uid | None = None) -> Receipt:
        """Answer what ``who`` holds, or is given next."""
        held = {lease.uid: lease for lease in self.desk.lease(who, 1)}
        lease = held[uid] if uid else next(iter(held.values()))
        return self.answers(who, choice, lease)

    def answers(self, who: str, choice: Choice | int, lease: Lease) -> Receipt:
        said = Label(choice) if isinstance(choice, int) else choice
        key = f"key-{next(self.keys)}"
        return self.desk.submit(who, lease.uid, lease.token, said, key)


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


def test_people_never_hold_the_same_sample_under_the_rule_of_one(
    office: Office,
) -> None:
    office.store.queue.add(1, [A, B, C])

    assert office.takes("ann", 2) == [A, B]
    assert office.takes("bob", 2) == [C]
    assert office.takes("cyd", 2) == []
    assert set(states(office.store).values()) == {ItemState.LEASED}


def test_who_asks_again_gets_the_same_leases_for_a_full_length(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    (first,) = office.desk.lease("ann", 1)
    office.clock.time += MINUTE / 2

    again, other = office.desk.lease("ann", 2)

    assert (again.uid, again.token) == (first.uid, first.token)
    assert again.until == other.until == NOON + 1.5 * MINUTE
    assert again.token != other.token


def test_the_newest_score_goes_first_then_the_oldest_cycle_then_the_uid(
    office: Office,
) -> None:
    store = office.store
    store.queue.add(1, [D, C])
    store.queue.add(2, [B, A])
    scores = np.array([0.75, 0.5], np.float32)
    scored = Scored(np.array([D, A]), scores, np.zeros(2, np.int64))
    store.scores.put("v", scored, Waiting(scores={A: 0.5, B: 0.25, C: 0.5, D: 0.75}))

    assert office.takes("ann", 4) == [D, C, A, B]


def test_a_sample_is_queued_with_the_score_it_was_chosen_for(office: Office) -> None:
    scores = np.array([0.75, 0.5], np.float32)
    scored = Scored(np.array([B, A]), scores, np.zeros(2, np.int64))
    office.store.scores.put("v", scored)
    office.store.queue.add(1, [A, B])
    office.store.queue.add(2, [C])  # nothing is known of it: it does not wait

    assert office.takes("ann", 3) == [C, B, A]


def test_an_answer_is_kept_and_labels_the_sample(office: Office) -> None:
    office.store.queue.add(1, [A])

    receipt = office.says("ann", 3)

    assert (receipt.uid, receipt.kind, receipt.label) == (A, Kind.LABEL, 3)
    item = only(office.store)
    assert (item.state, item.label, item.leased_until) == (ItemState.LABELLED, 3, None)
    (annotation,) = office.desk.history(9)
    assert (annotation.annotator, annotation.at, annotation.undone) == (
        "ann",
        NOON,
        None,
    )


@pytest.mark.parametrize("late", [timedelta(0), 400 * MINUTE])
def test_the_same_key_gives_the_same_receipt_and_counts_once(
    office: Office, late: timedelta
) -> None:
    office.store.queue.add(1, [A])
    (lease,) = office.desk.lease("ann", 1)
    said = ("ann", A, lease.token, Label(3), "k")
    first = office.desk.submit(*said)
    office.clock.time += late

    assert office.desk.submit(*said) == first
    assert len(office.desk.history(9)) == 1


def test_a_key_of_another_sample_is_refused(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    one, two = office.desk.lease("ann", 2)
    office.desk.submit("ann", A, one.token, Label(3), "k")

    with pytest.raises(ProtocolError, match=f"used for sample {A}"):
        office.desk.submit("ann", B, two.token, Label(3), "k")

    assert states(office.store)[B] is ItemState.LEASED


def test_two_people_may_use_the_same_key(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    for who in ("ann", "bob"):
        (lease,) = office.desk.lease(who, 1)
        office.desk.submit(who, lease.uid, lease.token, Label(1), "1")

    assert set(states(office.store).values()) == {ItemState.LABELLED}


def test_a_token_is_bound_to_annotator_and_sample(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    one, two = office.desk.lease("ann", 2)

    for who, uid, token in (
        ("bob", A, one.token),
        ("ann", A, two.token),
        ("ann", A, ""),
        ("ann", A, "\ud800\u00e9"[1:]),
    ):
        with pytest.raises(ProtocolError, match="lease it again"):
            office.desk.submit(who, uid, token, Label(1), "k")

    assert office.desk.history(9) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice": Label(5)}, "label 5 is not one of 5 classes"),
        ({"choice": Label(-1)}, "label -1 is not one of 5 classes"),
        ({"choice": Kind.GIVEN}, "an annotation is a label, SKIP or UNSURE"),
        ({"key": ""}, "1 to 128 characters"),
        ({"key": "k" * 129}, "1 to 128 characters"),
        ({"annotator": "a b"}, "annotator 'a b' must be"),
        ({"also": [B]}, "no near-duplicate"),
        ({"also": [B], "choice": SKIP}, "only a label can be shared"),
    ],
)
def test_what_no_client_should_send_is_refused(
    office: Office, change: dict[str, object], message: str
) -> None:
    office.store.queue.add(1, [A, B])
    lease = office.desk.lease("ann", 2)[0]
    said: dict[str, object] = {
        "annotator": "ann",
        "uid": A,
        "token": lease.token,
        "choice": Label(1),
        "key": "k",
    }

    with pytest.raises(ProtocolError, match=message):
        office.desk.submit(**(said | change))  # type: ignore[arg-type]

    assert office.desk.history(9) == []


@pytest.mark.parametrize("limit", [-1, 1001])
def test_a_lease_out_of_range_is_refused(office: Office, limit: int) -> None:
    with pytest.raises(ProtocolError, match="must be 0 to 1000"):
        office.desk.lease("ann", limit)


def test_an_unknown_sample_is_refused(office: Office) -> None:
    with pytest.raises(StoreError, match=f"{A} is not in the queue"):
        office.desk.submit("ann", A, "token", Label(1), "k")


def test_a_lease_that_is_over_goes_to_somebody_else(office: Office) -> None:
    office.store.queue.add(1, [A])
    office.takes("ann")
    office.clock.time += MINUTE
    assert office.takes("bob") == []
    office.clock.time += timedelta(microseconds=1)

    assert office.takes("bob") == [A]
    assert office.takes("ann") == []


def test_a_late_answer_counts_if_nobody_else_answered(office: Office) -> None:
    office.store.queue.add(1, [A])
    (late,) = office.desk.lease("ann", 1)
    office.clock.time += 2 * MINUTE
    (held,) = office.desk.lease("bob", 1)

    office.answers("ann", 1, late)

    assert only(office.store).label == 1
    assert office.takes("bob") == []  # nobody waits for bob now
    office.answers("bob", 2, held)
    assert only(office.store).label == 1
    assert len(office.desk.history(9)) == 2  # but nothing is lost


def test_an_answer_to_a_question_that_ran_out_of_time_counts(office: Office) -> None:
    office.store.queue.add(1, [A])
    (late,) = office.desk.lease("ann", 1)
    office.store.queue.move([A], ItemState.EXPIRED)

    office.answers("ann", 1, late)

    item = only(office.store)
    assert (item.state, item.label) == (ItemState.LABELLED, 1)
    assert (item.asked, item.expired, item.outcome) == (2, 1, ItemState.LABELLED)


def test_a_clock_that_jumps_back_neither_doubles_nor_prolongs_a_lease(
    office: Office,
) -> None:
    office.store.queue.add(1, [A])
    office.takes("ann")
    office.clock.time -= timedelta(days=365)

    assert office.takes("bob") == []
    office.clock.time += MINUTE
    assert office.takes("bob") == []
    office.clock.time += timedelta(seconds=1)
    assert office.takes("bob") == [A]


def test_what_is_released_goes_to_the_next_and_may_still_be_answered(
    office: Office,
) -> None:
    office.store.queue.add(1, [A, B])
    first, _ = office.desk.lease("ann", 2)
    office.desk.release("ann")
    assert set(states(office.store).values()) == {ItemState.QUEUED}

    assert office.takes("bob", 2) == [A, B]
    office.answers("ann", 4, first)
    assert {i.uid: i.label for i in office.store.queue.items()} == {A: 4, B: None}


@pytest.mark.parametrize("rule", ["two", "majority:3"])
def test_two_who_agree_settle_a_sample(office: Office, rule: str) -> None:
    office.under(rule)
    office.store.queue.add(1, [A])
    assert office.takes("ann") == office.takes("bob") == [A]
    assert office.takes("cyd") == []

    office.says("ann", 1)
    assert (only(office.store).state, only(office.store).label) == (
        ItemState.LEASED,
        None,
    )
    office.says("bob", 1)

    assert (only(office.store).state, only(office.store).label) == (
        ItemState.LABELLED,
        1,
    )


def test_where_two_disagree_a_third_person_is_asked(office: Office) -> None:
    office.under("two")
    office.store.queue.add(1, [A])
    office.says("ann", 1)
    office.says("bob", 2)
    assert office.takes("ann") == office.takes("bob") == []
    assert only(office.store).state is ItemState.QUEUED

    assert office.takes("cyd") == [A]
    assert office.takes("dan") == []
    office.says("cyd", 2)

    assert only(office.store).label == 2


def test_three_who_all_differ_give_a_sample_up(office: Office) -> None:
    office.under("two")
    office.store.queue.add(1, [A])
    for label, who in enumerate(("ann", "bob", "cyd")):
        office.says(who, label)

    assert (only(office.store).state, only(office.store).label) == (
        ItemState.SKIPPED,
        None,
    )


def test_a_majority_of_five_is_three(office: Office) -> None:
    office.under("majority:5")
    office.store.queue.add(1, [A])
    for who, label in (("ann", 1), ("bob", 2), ("cyd", 1), ("dan", 2)):
        office.says(who, label)
        assert only(office.store).label is None

    office.says("eve", 2)

    assert only(office.store).label == 2


def test_unsure_is_an_opinion_without_a_class(office: Office) -> None:
    office.store.queue.add(1, [A])
    office.says("ann", UNSURE)
    assert only(office.store).state is ItemState.QUEUED
    assert office.takes("ann") == []

    office.says("bob", UNSURE)

    assert only(office.store).state is ItemState.SKIPPED


def test_one_skip_ends_the_question(office: Office) -> None:
    office.under("two")
    office.store.queue.add(1, [A])

    office.says("ann", SKIP)

    assert (only(office.store).state, only(office.store).outcome) == (
        ItemState.SKIPPED,
        ItemState.SKIPPED,
    )


@pytest.mark.parametrize("said", [Label(1), SKIP, UNSURE])
def test_an_answer_is_taken_back_and_asked_again(office: Office, said: Choice) -> None:
    office.store.queue.add(1, [A, B])
    office.says("ann", said)

    assert office.desk.undo("ann") == A

    assert states(office.store) == {A: ItemState.LEASED, B: ItemState.QUEUED}
    assert office.takes("ann") == [A]
    office.says("ann", 4)
    assert {i.uid: i.label for i in office.store.queue.items()} == {A: 4, B: None}
    newest, oldest = office.desk.history(9)
    assert (newest.undone, oldest.undone) == (None, NOON)


def test_answers_are_taken_back_one_by_one_and_only_ones_own(office: Office) -> None:
    office.store.queue.add(1, [A, B, C])
    for who in ("ann", "bob", "ann"):
        office.says(who, 1)

    undone = [office.desk.undo("ann") for _ in range(3)]

    assert undone == [C, A, None]
    assert office.takes("ann", 0) == [A, C]
    assert states(office.store)[B] is ItemState.LABELLED


def test_what_a_model_was_trained_on_stands_until_it_is_corrected(
    office: Office,
) -> None:
    office.store.queue.add(1, [A])
    office.says("ann", 1)
    office.store.queue.trained({A: 1})

    assert office.desk.undo("ann") == A
    assert office.desk.undo("ann") is None  # it is on its way already
    assert (only(office.store).state, only(office.store).label) == (
        ItemState.TRAINED,
        1,
    )
    office.says("ann", 2)

    assert (only(office.store).state, only(office.store).label) == (
        ItemState.LABELLED,
        2,
    )


def test_a_correction_that_nobody_gives_changes_nothing(office: Office) -> None:
    office.store.queue.add(1, [A])
    office.says("ann", 1)
    office.store.queue.trained({A: 1})
    office.desk.undo("ann")
    office.clock.time += 2 * MINUTE

    assert office.takes("bob") == []
    assert (only(office.store).state, only(office.store).label) == (
        ItemState.TRAINED,
        1,
    )
    assert office.desk.undo("ann") == A


def test_a_correction_counts_where_the_corrected_answer_did(office: Office) -> None:
    office.store.queue.add(1, [A])
    (lease,) = office.desk.lease("ann", 1)
    office.clock.time += 2 * MINUTE
    (other,) = office.desk.lease("bob", 1)
    office.answers("ann", 1, lease)
    office.answers("bob", 3, other)  # too late: kept, and not counted

    office.answers("ann", 2, lease)

    assert only(office.store).label == 2


def test_a_skip_in_place_of_a_label_is_no_label(office: Office) -> None:
    office.store.queue.add(1, [A])
    office.says("ann", 1)
    office.store.queue.trained({A: 1})
    office.desk.undo("ann")

    office.says("ann", SKIP)

    item = only(office.store)
    assert (item.state, item.label) == (ItemState.SKIPPED, None)
    assert item.outcome is ItemState.LABELLED  # which was paid for


def test_an_oracles_answer_is_an_annotation_that_settles(office: Office) -> None:
    office.under("two")
    office.store.queue.add(1, [A, B])
    office.takes("ann", 1)

    office.store.queue.answer({A: 2})
    office.store.queue.move([B], ItemState.SKIPPED)

    assert {(v.uid, v.annotator, v.kind) for v in office.desk.history(9)} == {
        (A, "oracle", Kind.GIVEN),
        (B, "oracle", Kind.SKIP),
    }
    assert office.takes("ann", 0) == []
    assert office.desk.undo("oracle") is None


def test_controls_come_hidden_and_never_change_the_sample(office: Office) -> None:
    known = [Uid(f"{i:032x}") for i in range(8)]
    office.store.queue.add(1, [*known, A, B])
    office.store.queue.answer(dict.fromkeys(known, 3))
    office.under("one", controls=0.999999)
    before = office.store.queue.items()
    given = office.desk.lease("ann", 2)
    assert {lease.uid for lease in given} <= set(known)
    right, wrong = given

    office.answers("ann", 3, right)
    office.answers("ann", 1, wrong)

    assert office.store.queue.items() == before
    assert office.desk.progress().controls == {"ann": (1, 2)}
    assert [v.control for v in office.desk.history(2)] == [True, True]
    assert office.desk.progress("ann").controls == {}
    assert [v.control for v in office.desk.history(2, "ann")] == [False, False]
    assert office.desk.undo("ann") == wrong.uid
    assert office.store.queue.items() == before


def test_there_are_no_controls_without_a_question_beside_them(office: Office) -> None:
    office.store.queue.add(1, [A])
    office.store.queue.answer({A: 1})
    office.under("one", controls=0.999999)

    assert office.takes("ann", 5) == []


def test_a_share_of_leases_are_controls(office: Office) -> None:
    uids = [Uid(f"{i:032x}") for i in range(400)]
    office.store.queue.add(1, uids)
    office.store.queue.answer(dict.fromkeys(uids[:100], 1))
    office.under("one", controls=0.2)

    given = office.takes("ann", 200)

    controls = sum(uid in uids[:100] for uid in given)
    assert 20 <= controls <= 60  # 40 expected, 5.7 standard deviation
    assert len(set(given)) == 200


def test_a_person_is_no_control_of_their_own(office: Office) -> None:
    office.store.queue.add(1, [A, B, C])
    office.under("two")
    for who in ("ann", "bob"):
        office.says(who, 1)
    office.under("two", controls=0.999999)

    assert office.takes("ann") == [B]
    assert office.takes("cyd") == [A]


def test_near_duplicates_share_an_answer_if_the_person_agrees(office: Office) -> None:
    store = office.store
    store.queue.add(1, [A, B, C])
    nothing = Scored(np.array([], np.str_), np.zeros(0, np.float32), np.zeros(0, int))
    pairs = [(A, B), (C, A)]
    store.scores.put("v", nothing, Waiting(scores={}, near=pairs))
    (lease,) = office.desk.lease("ann", 1)
    assert office.desk.near(A) == [B, C]
    assert office.desk.near(B) == [A]

    receipt = office.desk.submit("ann", A, lease.token, Label(1), "k", also=[C])

    assert receipt.shared == (C,)
    kinds = {v.uid: v.kind for v in office.desk.history(9)}
    assert kinds == {A: Kind.LABEL, C: Kind.SHARED}
    assert {i.uid: i.label for i in store.queue.items()} == {A: 1, B: None, C: 1}
    assert office.desk.near(A) == [B]
    assert office.desk.undo("ann") == A
    assert office.takes("ann", 0) == [A, C]


def test_progress_counts_states_classes_people_and_today(office: Office) -> None:
    office.store.queue.add(1, [A, B, C, D])
    office.says("ann", 1)
    office.clock.time += timedelta(days=1)
    office.says("bob", 1)
    office.says("bob", SKIP)

    progress = office.desk.progress()

    assert progress.states == {
        ItemState.LABELLED: 2,
        ItemState.SKIPPED: 1,
        ItemState.QUEUED: 1,
    }
    assert progress.classes == {1: 2}
    assert progress.annotators == {"ann": 1, "bob": 2}
    assert progress.today == 2
    assert office.desk.progress("ann").annotators == {"ann": 1}


def test_history_is_the_newest_first_of_all_or_of_one(office: Office) -> None:
    office.store.queue.add(1, [A, B, C])
    for who in ("ann", "bob", "ann"):
        office.says(who, 1)

    assert [v.uid for v in office.desk.history(2)] == [C, B]
    assert [v.uid for v in office.desk.history(9, "ann")] == [C, A]
    assert office.desk.history(0) == []


def test_an_error_within_a_call_leaves_everything_as_it_was(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    office.desk = Desk(
        office.store.annotations,
        office.clock,
        DeskSettings(classes=5),
        tokens=Tokens(1),
    )
    before = office.store.queue.items()

    with pytest.raises(KeyboardInterrupt):
        office.desk.lease("ann", 2)

    assert office.store.queue.items() == before


class Tokens:
    """Makes some tokens, then is interrupted."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> str:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return f"token-{self.left}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "three"},
        {"rule": "majority:2"},
        {"rule": "majority:0"},
        {"rule": "majority:101"},
        {"rule": "one:1"},
        {"unsure": 0},
        {"classes": 0},
        {"lease_s": 0.0},
        {"lease_s": float("nan")},
        {"lease_s": float("inf")},
        {"controls": 1.0},
        {"controls": -0.1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DeskSettings(**({"classes": 3} | wrong))  # type: ignore[arg-type]


def test_an_answer_that_was_paid_for_and_taken_back_does_not_run_out(
    office: Office,
) -> None:
    office.store.queue.add(1, [A])
    office.says("ann", 1)
    office.desk.undo("ann")

    office.store.queue.move([A], ItemState.EXPIRED)

    assert only(office.store).state is ItemState.EXPIRED
    assert totals(office.store.queue.items()) == (1, 1, 0, 0)
    office.store.queue.add(2, [A])
    office.says("ann", 2)
    assert totals(office.store.queue.items()) == (2, 1, 0, 0)


def test_the_desk_tells_whether_a_lease_would_give_more_and_changes_nothing(
    office: Office,
) -> None:
    office.store.queue.add(1, [A, B])
    assert office.desk.has_new("ann", 1)
    (lease,) = office.desk.lease("ann", 1)
    office.clock.time += MINUTE / 2

    assert not office.desk.has_new("ann", 1)  # holds as many
    assert office.desk.has_new("ann", 2)
    assert office.desk.has_new("bob", 1)
    office.takes("bob")
    assert not office.desk.has_new("ann", 2)  # nothing is left
    assert not office.desk.has_new("cyd", 1)
    office.clock.time += MINUTE / 2 + timedelta(seconds=1)
    assert office.desk.has_new("cyd", 1)  # ann's was not prolonged by asking
    office.answers("ann", 1, lease)
    assert not office.desk.has_new("ann", 1)


def test_a_lease_is_checked_by_sample_annotator_and_token(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    one, two = office.desk.lease("ann", 2)
    office.clock.time += 2 * MINUTE

    office.desk.check_lease("ann", A, one.token)  # over, but it was theirs
    for who, uid, token in (("bob", A, one.token), ("ann", A, two.token)):
        with pytest.raises(LeaseError, match="lease it again"):
            office.desk.check_lease(who, uid, token)
    with pytest.raises(UnknownSampleError):
        office.desk.check_lease("ann", C, one.token)


def test_undo_by_key_takes_back_that_answer_once(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    one, two = office.desk.lease("ann", 2)
    office.desk.submit("ann", A, one.token, Label(1), "a")
    office.desk.submit("ann", B, two.token, Label(1), "b")

    for key in ("a", "c"):
        with pytest.raises(NotLastError):
            office.desk.undo("ann", key)
    with pytest.raises(NotLastError):
        office.desk.undo("bob", "b")
    assert [office.desk.undo("ann", "b") for _ in range(3)] == [B, B, B]
    assert states(office.store) == {A: ItemState.LABELLED, B: ItemState.LEASED}
    assert office.desk.undo("ann", "a") == A


def test_undo_by_key_of_a_trained_sample_may_be_repeated(office: Office) -> None:
    office.store.queue.add(1, [A, B])
    one, two = office.desk.lease("ann", 2)
    office.desk.submit("ann", B, two.token, Label(1), "b")
    office.desk.submit("ann", A, one.token, Label(1), "a")
    office.store.queue.trained({A: 1})

    assert [office.desk.undo("ann", "a") for _ in range(3)] == [A, A, A]
    assert states(office.store)[B] is ItemState.LABELLED
