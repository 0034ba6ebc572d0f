"""The auto-label tier: when its labels count, and what it asks."""

import pytest
from tests.support.client.world import LABELS, NAME, TASK, World

from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.supervision.auto_label import tier_quality
from fedask.client.learning.supervision.training_planner import TrainingPlanner
from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.records.pseudo_label import PseudoLabel
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid
from fedask.common.sections import AutoConfig

CONFIG = AutoConfig(sure=0.9, fewest=4, window=8, error=0.25)
# A linear model on three well parted classes gets sure of itself within a few rounds.
KEEN = {
    "auto.sure": 0.6,
    "auto.controls": 0.3,
    "auto.fewest": 2,
    "auto.error": 0.4,
    "ask.calibrate": False,
    "train.lr": 1.0,
    "ask.capacity": 20,
}


def control(number: int, label: int = 0, cycle: int = 1) -> PseudoLabel:
    uid = Uid(f"{number:032x}")
    return PseudoLabel(uid=uid, label=label, confidence=0.95, control=True, cycle=cycle)


def answered(number: int, label: int = 0) -> Item:
    return Item(
        uid=Uid(f"{number:032x}"), state=ItemState.LABELLED, cycle=1, label=label
    )


def test_too_few_answered_controls_prove_nothing() -> None:
    sure = [control(n) for n in range(9)]
    held = tier_quality(CONFIG, sure, [answered(n) for n in range(3)])
    assert (held.on, held.controls, held.wrong) == (False, 3, 0)


@pytest.mark.parametrize(("wrong", "on"), [(0, True), (1, True), (2, False)])
def test_the_measured_error_decides(wrong: int, on: bool) -> None:
    sure = [control(n) for n in range(4)]
    held = tier_quality(CONFIG, sure, [answered(n, int(n < wrong)) for n in range(4)])
    assert (held.on, held.wrong) == (on, wrong)


def test_only_the_latest_controls_count() -> None:
    sure = [control(n, cycle=1 + n // 8) for n in range(16)]
    old_wrong = [answered(n, int(n < 8)) for n in range(16)]
    assert tier_quality(CONFIG, sure, old_wrong).on
    new_wrong = [answered(n, int(n >= 8)) for n in range(16)]
    assert not tier_quality(CONFIG, sure, new_wrong).on


def test_a_tier_that_is_not_wanted_is_never_on() -> None:
    sure = [control(n) for n in range(20)]
    assert not tier_quality(AutoConfig(), sure, [answered(n) for n in range(20)]).on


def cycles(world: World, count: int) -> list[int]:
    """Run some cycles; returns what each update counted as, in labels."""
    weights = []
    outcome = world.round(1, 0)
    for cycle in range(1, count + 1):
        for step in range(3):
            score = world.version if step == 2 else ""
            outcome = world.round(cycle, step, score=score)
            if outcome.arrays is not None:
                world.model = dict(outcome.arrays)
        weights.append(outcome.weight)
    return weights


def begun(**values: float) -> World:
    """A device that people gave eight labels."""
    world = World({**KEEN, **{f"auto.{k}": v for k, v in values.items()}})
    first = list(LABELS)[:8]
    world.store.queue.add(1, first)
    world.store.queue.answer({uid: LABELS[uid] for uid in first})
    return world


def people(world: World) -> int:
    return sum(item.label is not None for item in world.store.queue.items())


def test_controls_go_to_people_and_then_its_labels_count() -> None:
    world = begun()
    weights = cycles(world, 6)
    controls = [i for i in world.store.queue.items() if i.origin is QueryOrigin.CONTROL]
    assert controls
    assert all(item.label == LABELS[item.uid] for item in controls)
    assert weights[-1] > people(world)
    said = [s for s in world.store.pseudo_labels.all() if not s.control]
    assert said
    assert all(s.confidence >= 0.6 for s in said)


def test_without_answers_to_controls_nothing_counts() -> None:
    world = begun()
    world.people.willing = False
    weights = cycles(world, 4)
    assert any(i.origin is QueryOrigin.CONTROL for i in world.store.queue.items())
    assert weights == [8] * 4


def test_a_model_that_people_contradict_gets_no_say() -> None:
    world = begun(error=0.0)
    world.people.answers = {uid: (label + 1) % 3 for uid, label in LABELS.items()}
    first = list(LABELS)[:8]
    weights = cycles(world, 3)
    controls = [i for i in world.store.queue.items() if i.origin is QueryOrigin.CONTROL]
    assert len(controls) >= 2
    assert weights[-1] == people(world)
    assert first  # those stay as they were given


def test_its_labels_are_not_counted_as_labels() -> None:
    world = begun()
    cycles(world, 6)
    outcome = world.round(7, 0)
    assert sum(outcome.report.class_counts) == people(world) < outcome.weight


def test_what_may_not_be_trained_on_gets_no_label_from_it() -> None:
    world = begun()
    cycles(world, 6)
    said = [s.uid for s in world.store.pseudo_labels.all() if not s.control]
    allowed = [uid for uid in LABELS if uid != said[0]]
    whole = world.device.pool
    planner = TrainingPlanner(NAME, whole, world.store, whole.part(allowed))
    run = RunContext(TASK, world.scenario, world.learner)
    items = world.store.queue.items()
    answered = [item for item in items if item.label is not None]

    plan = planner.plan(run, items, answered, 18, 0.0)
    free = TrainingPlanner(NAME, whole, world.store).plan(run, items, answered, 18, 0.0)

    assert said[0] in free.uids
    assert plan.uids == free.uids - {said[0]}


def test_a_person_outranks_it() -> None:
    world = begun()
    cycles(world, 6)
    said = next(s for s in world.store.pseudo_labels.all() if not s.control)
    world.store.queue.add(7, [said.uid])
    world.store.queue.answer({said.uid: (said.label + 1) % 3})
    world.round(7, 2, score=world.version)
    assert said.uid not in {s.uid for s in world.store.pseudo_labels.all()}


def test_a_repeated_round_asks_no_more() -> None:
    world = begun()
    cycles(world, 3)
    world.people.willing = False
    world.round(4, 2, score=world.version)
    items, sure = world.store.queue.items(), world.store.pseudo_labels.all()
    world.round(4, 2, score=world.version)
    asked = {i.uid for i in items if i.origin is QueryOrigin.CONTROL}
    again = {
        i.uid for i in world.store.queue.items() if i.origin is QueryOrigin.CONTROL
    }
    assert {s.uid for s in sure if s.control} <= asked
    assert len(again) - len(asked) <= 5  # a quarter of the capacity, drawn as before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto.sure", 0.3),
        ("auto.sure", 1.0),
        ("auto.controls", 0.0),
        ("auto.controls", 1.0),
        ("auto.error", 1.0),
        ("auto.weight", 0.0),
        ("auto.fewest", 101),
        ("auto.most", 0),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=key):
        Scenario().with_values({key: value})
