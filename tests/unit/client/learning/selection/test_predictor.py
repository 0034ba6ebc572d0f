"""What scorers get to see, on real models."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.world import SAMPLES, TASK, UIDS, World, first_cut
from typing_extensions import override

from fedask.client.learning.scorers.scorer import (
    NEEDS,
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import SCORERS, make_scorer
from fedask.client.learning.selection.predictor import SAMPLE, Predictor, model_kinds
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.sample_stream import SampleStream
from fedask.client.learning.training.learner import Learner
from fedask.client.records.device_store import GLOBAL, LAST_UPDATE
from fedask.common.errors import ConfigError
from fedask.common.ids import content_uid

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = NEEDS - {"costs", "consequences"}
PLAIN = [name for name in SCORERS if make_scorer(name).needs <= ALL]


class Watching(Scorer):
    """Scores by confidence and keeps what it was shown."""

    needs = ALL
    views: list[PredictionView] = []  # noqa: RUF012  (made by name, so the class must keep them)
    known: list[ScoringContext] = []  # noqa: RUF012

    @override
    def __call__(self, view: PredictionView, known: ScoringContext) -> Floats:
        self.views.append(view)
        self.known.append(known)
        scores: Floats = 1 - view.probs.max(axis=1)
        return scores


@pytest.fixture
def watching() -> type[Watching]:
    Watching.views, Watching.known = [], []
    return Watching


def watched(values: Mapping[str, Any] | None = None) -> World:
    return World({"ask.scorer": f"{__name__}:Watching", **(values or {})})


def predictions(model: Mapping[str, NDArray[Any]], samples: NDArray[Any]) -> Floats:
    learner = Learner(TASK, World().scenario.train)
    learner.load(model)
    return learner.predict(samples)


def row_of(view: PredictionView) -> list[int]:
    return [UIDS.index(uid) for uid in view.uids.tolist()]


def test_a_scorer_sees_the_committee_oldest_first_and_its_own_update_last(
    watching: type[Watching],
) -> None:
    world = watched({"ask.committee": 2})
    versions = []
    for cycle in (1, 2, 3, 4):
        world.model = {k: v + 0.1 * cycle for k, v in world.model.items()}
        versions.append(world.model)
        world.round(cycle, 0, cut=first_cut(1) if cycle == 1 else None)
        world.round(cycle, 1)
        world.round(cycle, 2, score=world.version)

    view = watching.views[-1]
    samples = SAMPLES[row_of(view)]
    assert view.draws.shape == (4, len(view), 3)
    for draw, model in zip(view.draws, versions[1:], strict=False):
        np.testing.assert_array_equal(draw, predictions(model, samples))
    np.testing.assert_array_equal(view.probs, view.draws[2])
    own = world.store.models.all(LAST_UPDATE)[0]
    assert not np.array_equal(view.draws[3], view.draws[2])
    assert len(world.store.models.all(GLOBAL)) == 2
    assert set(own) == set(world.model)


def test_before_any_update_the_local_model_is_the_global_one(
    watching: type[Watching],
) -> None:
    world = watched()
    world.people.willing = False

    world.scored()

    view = watching.views[0]
    np.testing.assert_array_equal(view.local_logits, view.logits)
    np.testing.assert_array_equal(view.local_features, view.features)
    assert len(view.draws) == 1  # a committee of one: itself


def test_what_was_asked_is_known_with_its_answers_and_features(
    watching: type[Watching],
) -> None:
    world = watched()

    world.scored()

    known, items = watching.known[0], world.store.queue.items()
    rows = [UIDS.index(item.uid) for item in items]
    assert known.targets.tolist() == [item.label for item in items]
    np.testing.assert_array_equal(known.anchors, SAMPLES[rows])  # linear: the input
    assert known.counts.sum() == len(items)
    assert known.anchor_logits.shape == known.anchor_local_logits.shape
    assert len(known.sample) == min(SAMPLE, len(SAMPLES))


def test_looking_through_other_models_leaves_the_loaded_one(
    watching: type[Watching],
) -> None:
    plain, world = World({"ask.scorer": "least-confidence"}), watched()
    for each in (plain, world):
        each.scored()

    one, other = plain.store.scores.last(), world.store.scores.last()

    assert watching.views
    assert one is not None
    assert other is not None
    assert one[1].uids.tolist() == other[1].uids.tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_a_scorer_that_needs_no_model_but_the_global_one_keeps_none(name: str) -> None:
    world = World({"ask.scorer": name})

    world.scored()

    kinds = model_kinds(make_scorer(name).needs)
    assert bool(world.store.models.all(GLOBAL)) == (GLOBAL in kinds)
    assert bool(world.store.models.all(LAST_UPDATE)) == (LAST_UPDATE in kinds)


class Greedy(Watching):
    needs = frozenset({"logits", "raw"})


def test_a_need_that_nothing_fills_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="needs 'raw'; there is: anchor_local"):
        make_scorer(f"{__name__}:Greedy")


class Costly(Watching):
    needs = frozenset({"costs"})


def prices(raw: NDArray[Any]) -> NDArray[Any]:
    return 1 + np.arange(len(raw))


def free(raw: NDArray[Any]) -> NDArray[Any]:
    return np.zeros(len(raw))


def test_costs_come_from_the_function_that_the_configuration_names(
    watching: type[Watching],
) -> None:
    world = World(
        {"ask.scorer": f"{__name__}:Costly", "ask.cost": f"{__name__}:prices"}
    )

    world.scored()

    assert watching.views[0].costs.tolist() == list(range(1, 59))


@pytest.mark.parametrize(
    ("cost", "message"),
    [("", "ask.cost names no function"), (f"{__name__}:free", "positive number")],
)
def test_costs_that_are_missing_or_not_positive_are_refused(
    cost: str, message: str
) -> None:
    world = World({"ask.scorer": f"{__name__}:Costly", "ask.cost": cost})

    with pytest.raises(ConfigError, match=message):
        world.scored()


def test_consequences_that_the_task_does_not_tell_are_refused() -> None:
    world = World()
    needs = frozenset({"consequences"})

    with pytest.raises(ConfigError, match="the task has no consequences"):
        Predictor(TASK, world.scenario, world.learner, world.store, needs, 1)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("willing", [True, False])
def test_every_scorer_asks_also_before_there_is_a_label_or_a_committee(
    name: str, willing: bool
) -> None:
    world = World({"ask.scorer": name})
    world.people.willing = willing

    report = world.scored().report

    assert report.refused == ""
    assert report.grid is not None
    assert report.grid.sum() == 5  # the capacity


def test_a_temperature_makes_no_sample_more_certain_than_another() -> None:
    plain = {"ask.scorer": "least-confidence", "ask.capacity": 40}
    kept = []
    for values in (plain, {**plain, "ask.calibrate": True}):
        world = World(values)
        world.model = {name: 9 * array for name, array in world.model.items()}
        world.round(1, 0, cut=first_cut(take=40))  # enough labels for a temperature
        world.round(1, 2, score=world.version)
        kept.append(world.store.scores.last())

    one, other = kept

    assert one is not None
    assert other is not None
    assert not np.array_equal(one[1].scores, other[1].scores)
    assert one[1].scores.mean() < other[1].scores.mean()  # it was too sure


def test_a_scoring_that_comes_twice_counts_no_model_of_the_committee_twice(
    watching: type[Watching],
) -> None:
    world = watched({"ask.committee": 2})
    world.people.willing = False
    for cycle in (1, 2, 3):
        world.model = {k: v + 0.1 * cycle for k, v in world.model.items()}
        world.round(cycle, 2, score=world.version)

    world.round(3, 2, score=world.version)

    once, twice = watching.views[-2:]
    np.testing.assert_array_equal(twice.draws[-2:], once.draws[-2:])
    assert len(twice.draws) == 2  # the oldest has left the store


def test_an_arrival_is_seen_by_the_committee_of_the_last_scoring(
    watching: type[Watching],
) -> None:
    world = watched({"ask.committee": 2, "stream.controller": "biqf"})
    for cycle in (1, 2, 3, 4):
        world.model = {k: v + 0.1 * cycle for k, v in world.model.items()}
        world.round(cycle, 0, cut=first_cut(1) if cycle == 1 else None)
        world.round(cycle, 2, score=world.version)
    scored = watching.views[-1]
    new = SAMPLES + 0.5
    uids = np.array([content_uid(sample) for sample in new])
    run = RunContext(TASK, world.scenario, world.learner)

    SampleStream(world.device.pool, world.store, run).take(uids, new, NOON)

    view = watching.views[-1]
    assert view.uids.tolist() == uids.tolist()
    assert len(view.draws) == len(scored.draws) == 4
    for draw, arrays in zip(view.draws, world.store.models.all(GLOBAL), strict=False):
        np.testing.assert_array_equal(draw, predictions(arrays, new))
    np.testing.assert_array_equal(view.probs, predictions(world.model, new))
