"""A device whose people are at a desk: what rounds and answers do to each other."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.world import (
    LABELS,
    SAMPLES,
    TASK,
    UIDS,
    World,
    first_cut,
    model,
)

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.records.annotation import Label
from fedask.client.records.label_queue import ItemState
from fedask.client.store.memory import MemoryStore
from fedask.common.errors import DataError
from fedask.common.ids import Uid
from fedask.common.records import Ask

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Desked(World):
    """A world whose people come to the desk instead of answering in the round."""

    def __init__(self, values: dict[str, object] | None = None, take: int = 4) -> None:
        self.memory = MemoryStore()
        super().__init__(values, store=self.memory)
        self.people.willing = False
        self.desk = Desk(
            self.memory.annotations, FakeClock(NOON), DeskSettings(classes=3)
        )
        self.round(1, 0, cut=first_cut(take=take))
        self.keys = 0

    def says(self, label: int | None = None) -> Uid:
        """Answer the first sample that Ann holds or is given, rightly if not told."""
        lease = self.desk.lease("ann", 1)[0]
        said = Label(LABELS[lease.uid] if label is None else label)
        self.keys += 1
        self.desk.submit("ann", lease.uid, lease.token, said, f"{self.keys}")
        return lease.uid


def test_a_new_model_puts_what_waits_in_order() -> None:
    orders = []
    for seed in (1, 2):
        world = Desked(take=5)
        world.model = model(seed)
        world.round(1, 2, score=world.version)
        orders.append([lease.uid for lease in world.desk.lease("ann", 5)])

        world.learner.load(world.model)
        best = world.learner.predict(world.device.pool.load(orders[-1]))
        top = np.sort(best, axis=1)
        margins = 1.0 - (top[:, -1] - top[:, -2])  # the default scorer
        assert (np.diff(margins) <= 1e-6).all()

    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_what_left_the_pool_is_not_scored_again() -> None:
    world = Desked(take=5)
    gone = world.queued_in(1)[0]
    world.device = world.made(world.memory)
    world.device.pool = world.device.pool.part(set(UIDS) - {gone})
    world.device._selector._pool = world.device.pool
    world.device._rater._pool = world.device.pool

    world.round(1, 2, score=world.version)

    assert len(world.desk.lease("ann", 9)) == 5


def test_near_duplicates_are_found_among_what_waits_and_what_may_be_asked() -> None:
    world = Desked({"ask.near": 0.5}, take=5)
    world.round(1, 2, score=world.version)
    waiting = world.queued_in(1)

    near = {uid: world.desk.near(uid) for uid in waiting}

    assert any(near.values())
    for uid, others in near.items():
        assert set(others) <= set(waiting) - {uid}
        for other in others:
            assert uid in near[other]


def test_near_is_off_unless_it_is_set() -> None:
    world = Desked(take=5)
    world.round(1, 2, score=world.version)

    assert not any(world.desk.near(uid) for uid in UIDS)


def test_a_corrected_label_is_trained_on_anew() -> None:
    world, other = Desked(), Desked()
    for each, label in ((world, 0), (other, 1)):
        each.says(label)
        each.round(1, 1)
    uid = world.desk.undo("ann")
    assert uid is not None
    assert world.round(1, 1).report.answered == 1  # the old label still stands
    world.says(1)

    corrected, expected = world.round(1, 1), other.round(1, 1)

    assert world.items()[uid].state is ItemState.TRAINED
    assert corrected.report == expected.report
    assert corrected.arrays is not None
    assert expected.arrays is not None
    for name, array in expected.arrays.items():
        assert np.array_equal(corrected.arrays[name], array)


def test_what_is_taken_back_during_training_is_not_marked_as_trained() -> None:
    world = Desked()
    uid = world.says()
    world.learner.load(world.model)
    run = RunContext(TASK, world.scenario, world.learner)
    begun = world.device.begin(run, Ask(cycle=1, step=1), prox=0.0)
    assert begun.job is not None
    trained = world.learner.train(begun.job)
    world.desk.undo("ann")

    world.device.finish(begun, trained)

    assert world.items()[uid].state is ItemState.LEASED


def test_the_report_never_shrinks_when_answers_are_taken_back() -> None:
    world = Desked({"ask.patience": 1})
    world.says()
    world.says()
    before = world.round(1, 1).report
    for _ in range(2):
        world.desk.undo("ann")

    now = world.round(2, 0).report  # the questions of cycle 1 run out

    assert (now.asked, now.answered) == (before.asked, 2)
    assert now.expired == 2


def test_a_label_of_the_desk_is_checked_by_the_device_too() -> None:
    world = Desked()
    lease = world.desk.lease("ann", 1)[0]
    wide = Desk(world.memory.annotations, FakeClock(NOON), DeskSettings(classes=9))
    wide.submit("ann", lease.uid, lease.token, Label(7), "k")

    with pytest.raises(DataError, match="label 7 is not one of 3 classes"):
        world.round(1, 1)


def test_a_part_of_a_pool_has_the_same_samples() -> None:
    world = World()

    part = world.device.pool.part([UIDS[7], UIDS[3], Uid("f" * 32)])

    assert sorted(part.uids.tolist()) == sorted([UIDS[3], UIDS[7]])
    assert np.array_equal(part.load([UIDS[7]])[0], SAMPLES[7])
