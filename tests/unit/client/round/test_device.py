from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.world import (
    CLASSES,
    LABELS,
    NAME,
    SAMPLES,
    UIDS,
    World,
    first_cut,
    model,
    whole_cut,
)

from fedask.client.labelling.oracles.oracle import SKIP
from fedask.client.records.label_queue import ItemState
from fedask.client.records.milestone import Milestone
from fedask.client.round.device import RoundOutcome
from fedask.common.errors import DataError, ProtocolError, StoreError, UnavailableError
from fedask.common.ids import Uid
from fedask.common.policies.policy import POLICIES
from fedask.common.records import DIVERGED

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OTHER_VERSION = "0123456789abcdef"


def same_bits(one: RoundOutcome, two: RoundOutcome) -> bool:
    assert one.arrays is not None
    assert two.arrays is not None
    return all(np.array_equal(a, two.arrays[name]) for name, a in one.arrays.items())


def test_a_repeated_message_changes_nothing_and_gives_the_same_bits() -> None:
    world = World()
    first = world.round(1, 0, cut=first_cut())
    items = world.items()

    again = world.round(1, 0, cut=first_cut(take=4, nonce=1))

    assert {u: i.label for u, i in world.items().items()} == {
        u: i.label for u, i in items.items()
    }
    assert again.report == first.report
    assert again.loss == first.loss
    assert same_bits(first, again)


def test_a_message_may_be_repeated_after_the_next_cut() -> None:
    world = World()
    world.scored()
    cut = whole_cut(2, world.version)
    first = world.round(2, 0, cut=cut)
    before = world.items()

    late = world.round(1, 0, cut=first_cut())
    again = world.round(2, 0, cut=cut)

    assert world.items() == before
    assert late.report.cut_cycle == again.report.cut_cycle == 2
    assert same_bits(first, again)


def test_a_label_is_trained_on_once_it_was_in_an_update() -> None:
    world = World()
    world.people.willing = False
    outcome = world.round(1, 0, cut=first_cut())
    assert outcome.arrays is None
    assert outcome.loss == 0.0
    assert {item.state for item in world.store.queue.items()} == {ItemState.QUEUED}

    world.people.willing = True
    outcome = world.round(1, 1)

    assert outcome.arrays is not None
    assert {item.state for item in world.store.queue.items()} == {ItemState.TRAINED}
    assert not np.array_equal(outcome.arrays["1.weight"], world.model["1.weight"])


def test_a_device_without_labels_still_scores() -> None:
    world = World()
    world.people.willing = False

    outcome = world.scored()

    assert outcome.arrays is None
    assert outcome.report.grid is not None
    assert outcome.report.grid.shape == (3, 16)
    assert outcome.report.grid.sum() == 5  # capacity
    kept = world.store.scores.last()
    assert kept is not None
    assert kept[0] == world.version


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_in_the_queue_is_not_scored(policy: str) -> None:
    world = World({"ask.policy": policy, "ask.capacity": 58, "ask.shortlist": 2.0})
    world.round(1, 0, cut=first_cut(take=20))
    done = sorted(world.items())
    world.people.answers = {done[0]: 1, done[1]: SKIP}  # the others wait

    world.round(1, 2, score=world.version)

    kept = world.store.scores.last()
    assert kept is not None
    assert set(kept[1].uids.tolist()) == set(UIDS) - set(done)


def test_scores_are_those_of_the_model_in_the_message() -> None:
    world = World({"ask.capacity": 60})
    world.scored()

    kept = world.store.scores.last()
    assert kept is not None
    world.learner.load(model())
    rows = [UIDS.index(Uid(uid)) for uid in kept[1].uids.tolist()]
    probs = np.sort(world.learner.predict(SAMPLES[rows]), axis=1)
    np.testing.assert_allclose(
        kept[1].scores, 1 - (probs[:, -1] - probs[:, -2]), atol=1e-6
    )


def test_skipped_samples_are_counted_and_never_asked_again() -> None:
    world = World({"ask.capacity": 60})
    world.people.answers = dict.fromkeys(UIDS, SKIP)
    world.scored()
    skipped = world.queued_in(1)

    report = world.round(2, 0, cut=whole_cut(2, world.version)).report

    assert report.skipped == report.asked == 60
    assert report.answered == 0
    assert [i.asked for i in world.store.queue.items()] == [1] * 60
    assert {world.items()[uid].state for uid in skipped} == {ItemState.SKIPPED}


def test_patience_returns_the_quota() -> None:
    world = World({"ask.patience": 1})
    world.people.willing = False
    report = world.scored().report
    assert (report.asked, report.expired) == (2, 0)

    report = world.round(2, 0).report

    assert (report.asked, report.expired) == (2, 2)
    assert {item.state for item in world.store.queue.items()} == {ItemState.EXPIRED}
    assert world.people.asked[-1] == []  # nobody is bothered with them any more


def test_an_expired_sample_may_be_asked_again_and_is_counted_again() -> None:
    world = World({"ask.patience": 1, "ask.capacity": 60})
    world.people.willing = False
    world.round(1, 0, cut=first_cut())
    expired = world.queued_in(1)
    world.round(2, 2, score=world.version)
    world.people.willing = True

    report = world.round(3, 0, cut=whole_cut(3, world.version)).report

    assert {world.items()[uid].asked for uid in expired} == {2}
    assert (report.asked, report.answered, report.expired) == (62, 60, 2)


def test_without_patience_a_question_waits_for_ever() -> None:
    world = World()
    world.people.willing = False
    world.round(1, 0, cut=first_cut())
    world.round(1000, 0)
    world.people.willing = True

    assert world.round(1001, 0).report.answered == 2


@pytest.mark.parametrize("label", [3, 99, -2])
def test_an_answer_outside_the_classes_is_refused(label: int) -> None:
    world = World()
    world.people.answers = dict.fromkeys(UIDS, label)

    with pytest.raises(DataError, match=f"label {label} is not one of 3 classes"):
        world.round(1, 0, cut=first_cut())

    assert {item.label for item in world.store.queue.items()} == {None}
    world.people.answers = LABELS  # put right: nothing was lost
    assert world.round(1, 0).report.answered == 2


def test_a_label_that_another_process_stored_is_checked_too() -> None:
    world = World()
    world.people.willing = False
    world.round(1, 0, cut=first_cut())
    world.store.queue.answer({world.queued_in(1)[0]: 3})

    with pytest.raises(DataError, match="label 3 is not one of 3 classes"):
        world.round(1, 1)


def test_an_answer_to_nobodys_question_is_refused() -> None:
    world = World()
    world.round(1, 0, cut=first_cut())
    answered = world.queued_in(1)[0]

    with pytest.raises(StoreError):
        world.store.queue.move([answered], ItemState.SKIPPED)

    assert world.items()[answered].state is ItemState.TRAINED


def test_a_labelled_sample_that_left_the_pool_is_named() -> None:
    world = World()
    world.round(1, 0, cut=first_cut())
    other = World(store=world.store)
    gone = world.queued_in(1)[0]
    left = SAMPLES[[uid != gone for uid in UIDS]]
    other.device = other.made(world.store, left)

    with pytest.raises(DataError, match="no longer in the pool"):
        other.round(1, 1)


@pytest.mark.parametrize("model_is", ["sane", "diverging"])
def test_divergence_is_reported_and_the_labels_are_counted(model_is: str) -> None:
    lr = 0.1 if model_is == "sane" else 1e38
    world = World({"train.lr": lr, "train.steps": 6})

    outcome = world.round(1, 0, cut=first_cut(take=4))

    diverged = model_is == "diverging"
    assert outcome.report.refused == (DIVERGED if diverged else "")
    assert (outcome.arrays is None) == diverged
    assert np.isfinite(outcome.loss)
    assert outcome.report.answered == 4
    state = ItemState.LABELLED if diverged else ItemState.TRAINED
    assert {item.state for item in world.store.queue.items()} == {state}


def test_a_model_that_gives_nan_is_refused_before_anything_is_scored() -> None:
    world = World()
    world.model["1.weight"][:] = np.nan

    with pytest.raises(ProtocolError, match="gives NaN or infinity"):
        world.round(1, 2, score="00" * 8)

    assert world.store.scores.last() is None


def test_an_absent_device_does_nothing() -> None:
    world = World()
    ticks: list[int] = []

    def away(tick: int) -> bool:
        ticks.append(tick)
        return False

    world.device._present = away

    with pytest.raises(UnavailableError, match=f"{NAME} misses round 8"):
        world.round(3, 1, cut=first_cut(3))

    assert ticks == [7]  # two cycles of three rounds, and one
    assert world.items() == {}


def test_evaluation_counts_right_answers_on_the_labels_it_has() -> None:
    world = World()
    assert world.device.evaluate(world.learner, world.model) == (0.0, 0)
    world.round(1, 0, cut=first_cut(take=5))

    accuracy, count = world.device.evaluate(world.learner, world.model)

    world.learner.load(world.model)
    rows = [UIDS.index(uid) for uid in world.queued_in(1)]
    right = world.learner.predict(SAMPLES[rows]).argmax(1) == [
        LABELS[UIDS[row]] for row in rows
    ]
    assert (accuracy, count) == (right.mean(), 5)


def test_a_report_counts_labels_per_class() -> None:
    world = World({"ask.capacity": 60})

    report = world.round(1, 0, cut=first_cut(take=60)).report

    truth = np.bincount(list(LABELS.values()), minlength=len(CLASSES))
    assert report.class_counts == tuple(truth.tolist())
    assert report.device == NAME


def test_an_accuracy_is_kept_with_its_time_and_the_answers_in_updates_by_then() -> None:
    world, clock = World(), FakeClock(NOON)
    world.device = world.made(world.store, clock=clock)
    world.scored()  # two answers
    cut = whole_cut(2, world.version)  # five more

    world.round(2, 0, cut=cut, accuracy=0.625)

    told = Milestone(cycle=1, accuracy=0.625, at=NOON, trained=2)
    assert world.store.milestones.all() == [told]
    clock.time += timedelta(days=1)
    world.round(2, 0, cut=cut, accuracy=0.625)  # the message again
    assert world.store.milestones.all() == [told]
    world.round(3, 0, accuracy=0.5)
    fell = Milestone(cycle=2, accuracy=0.5, at=clock.time, trained=7)
    assert world.store.milestones.all() == [told, fell]


def test_a_device_that_is_told_nothing_keeps_nothing() -> None:
    world = World()
    world.device = world.made(world.store, clock=FakeClock(NOON))

    world.round(2, 0, cut=first_cut(2))

    assert world.store.milestones.all() == []


def test_where_nobody_reads_it_an_accuracy_changes_nothing() -> None:
    told, not_told = World(), World()

    with_it = told.round(2, 0, cut=first_cut(2), accuracy=0.5)
    without = not_told.round(2, 0, cut=first_cut(2))

    assert told.store.milestones.all() == []
    assert with_it.report == without.report
    assert same_bits(with_it, without)
