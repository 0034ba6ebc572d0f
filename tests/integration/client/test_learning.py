"""Scorers that learn, on a device: what is recorded, when, and what a crash costs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.world import (
    LABELS,
    SAMPLES,
    UIDS,
    World,
    first_cut,
    model,
    whole_cut,
)
from typing_extensions import override

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.records.audit import Audit
from fedask.client.records.device_store import GLOBAL, LAST_UPDATE, DeviceStore
from fedask.client.records.label_queue import Item, ItemState
from fedask.client.records.query_outcome import (
    OutcomeHistory,
    QueryOutcome,
    QueryRecord,
)
from fedask.client.store.keys.keyring import Keyring
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.cut import Cut

EXPERTS = "margin, gradient-length, density, random"
LEARNING = ["learned", "albl"]
CYCLES = 3


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Fate:
    """When a process dies.

    Parameters
    ----------
    left
        Transactions until then, this one included.
    committed
        Whether that one is on the disk by then.
    """

    left: int
    committed: bool


class Mortal(Connection):
    """Dies at a transaction, before it begins or after it is on the disk."""

    def __init__(
        self, fate: Fate, path: Path, keyring: Keyring | None, audit: Audit
    ) -> None:
        self._fate = fate
        super().__init__(path, keyring, audit)

    @contextmanager
    @override
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self._fate.left -= 1
        if self._fate.left == 0 and not self._fate.committed:
            raise Killed
        with super().transaction() as db:
            yield db
        if self._fate.left == 0:
            raise Killed


def world_of(scorer: str, experts: str = EXPERTS) -> World:
    values = {"ask.scorer": scorer, "ask.experts": experts, "train.batch_size": 2}
    return World(values)


def message(world: World, number: int) -> None:
    """Send one of two messages a cycle: a cut, then a request for scores."""
    cycle, last = number // 2 + 1, number % 2
    world.model = {k: v * (1 + 0.1 * number) for k, v in model().items()}
    cut: Cut | None = None
    if not last:
        kept = world.store.scores.last()
        cut = first_cut(take=4) if kept is None else whole_cut(cycle, kept[0])
    world.round(cycle, 2 * last, cut=cut, score=world.version if last else "")


def found_in(store: DeviceStore) -> dict[str, QueryOutcome]:
    return {
        p.uid: p.outcome for p in store.query_outcomes.all() if p.outcome is not None
    }


@pytest.mark.parametrize("scorer", LEARNING)
def test_what_a_question_showed_is_found_before_it_is_trained_on(scorer: str) -> None:
    world = world_of(scorer)
    world.people.willing = False
    world.round(1, 0, cut=first_cut(take=4))
    before = {p.uid: p for p in world.store.query_outcomes.all()}
    assert before.keys() == {item.uid for item in world.store.queue.items()}
    assert found_in(world.store) == {}
    world.people.willing = True
    world.model = {name: array * 2 for name, array in world.model.items()}

    world.round(2, 1)

    world.learner.load(world.model)
    for query_record in world.store.query_outcomes.all():
        # Alone, a sample's probabilities may differ in a last bit.
        probs = world.learner.predict(SAMPLES[[UIDS.index(query_record.uid)]])[0]
        label = LABELS[query_record.uid]
        found = query_record.outcome
        assert found is not None
        assert found.cycle == 2
        assert found.truth == pytest.approx(float(probs[label]), abs=1e-6)
        assert found.hit == (probs.argmax() == label)
        assert query_record.descriptors == before[query_record.uid].descriptors
    assert {item.state for item in world.store.queue.items()} == {ItemState.TRAINED}


def test_experts_describe_a_question_as_they_would_score_it() -> None:
    world = world_of("learned")
    world.people.willing = False

    world.round(1, 0, cut=first_cut(take=4))

    world.learner.load(world.model)
    for query_record in world.store.query_outcomes.all():
        raw = SAMPLES[[UIDS.index(query_record.uid)]]
        view = PredictionView(
            uids=np.array([query_record.uid]), salt=0, probs=world.learner.predict(raw)
        )
        none = np.zeros(0, dtype=np.int64)
        margin = make_scorer("margin")(view, ScoringContext(counts=none, targets=none))
        assert query_record.experts == EXPERTS
        assert query_record.descriptors[0] == pytest.approx(float(margin[0]), abs=1e-6)
        assert len(query_record.levels) == 4
    world.learner.load(world.model)
    probs = np.sort(world.learner.predict(SAMPLES), axis=1)
    level = float((1 - probs[:, -1] + probs[:, -2]).mean())
    assert query_record.levels[0] == pytest.approx(level, abs=1e-6)


class Watching(Scorer):
    """Keeps the histories that it was shown."""

    needs = frozenset({"history"})
    seen: list[OutcomeHistory] = []  # noqa: RUF012  (made by name, so the class keeps them)

    @override
    def __call__(self, view: PredictionView, known: ScoringContext) -> Floats:
        self.seen.append(known.history)
        return np.ones(len(view), dtype=np.float32)


def test_an_answer_that_comes_with_the_message_that_scores_is_in_its_history() -> None:
    Watching.seen = []
    world = world_of(f"{__name__}:Watching")
    world.people.willing = False
    world.round(1, 0, cut=first_cut(take=4))
    world.people.willing = True

    world.round(1, 2, score=world.version)

    (history,) = Watching.seen
    assert len(history) == 4
    assert history.planned == world.scenario.ask.cycles
    assert history.descriptors.shape == (4, 4)


@pytest.mark.parametrize("scorer", ["margin", "random", "bald", "density"])
def test_a_scorer_that_does_not_learn_records_nothing(scorer: str) -> None:
    world = world_of(scorer)

    for number in range(2 * CYCLES):
        message(world, number)

    assert world.store.query_outcomes.all() == []


@pytest.mark.parametrize("scorer", LEARNING)
def test_models_are_kept_for_an_expert_that_looks_through_them(scorer: str) -> None:
    for experts, kept in (("margin, bald", 3), ("margin, random", 0)):
        world = world_of(scorer, experts)
        for number in range(2 * CYCLES):
            message(world, number)

        assert len(world.store.models.all(GLOBAL)) == kept
        assert len(world.store.models.all(LAST_UPDATE)) == bool(kept)


def test_a_sample_that_was_trained_on_meanwhile_shows_nothing_any_more() -> None:
    learning = world_of("learned")
    learning.people.willing = False
    learning.round(1, 0, cut=first_cut(take=4))
    plain = World({"ask.scorer": "margin"}, learning.store)
    plain.round(1, 1)
    assert {item.state for item in learning.store.queue.items()} == {ItemState.TRAINED}

    learning.round(1, 2, score=learning.version)

    assert len(learning.store.query_outcomes.all()) == 4
    assert found_in(learning.store) == {}


def test_a_label_of_another_task_is_refused_and_shows_nothing() -> None:
    world = world_of("learned")
    world.people.willing = False
    world.round(1, 0, cut=first_cut(take=2))
    first, second = (item.uid for item in world.store.queue.items())
    world.store.queue.answer({first: 3, second: 1})

    with pytest.raises(Exception, match="label 3 is not one of 3 classes"):
        world.round(1, 1)

    assert found_in(world.store).keys() == {second}


def life(scorer: str, path: Path, fate: Fate) -> tuple[list[Item], list[QueryRecord]]:
    """Send every message until it is answered; return what the disk holds then."""
    world = world_of(scorer)
    for number in range(2 * CYCLES):
        while True:
            try:
                world.store = SqliteStore(path, connect=partial(Mortal, fate))
                world.device = world.made(world.store)
                message(world, number)
            except Killed:
                continue
            finally:
                world.store.close()
            break
    with closing(SqliteStore(path)) as store:
        return store.queue.items(), store.query_outcomes.all()


@pytest.mark.slow
@pytest.mark.parametrize("committed", [False, True])
def test_a_device_that_dies_at_any_transaction_learns_the_same(
    tmp_path: Path, committed: bool
) -> None:
    scorer = "learned + albl"
    never = Fate(0, committed)
    items, query_records = life(scorer, tmp_path / "unbroken.db", never)
    assert {item.state for item in items} == {ItemState.TRAINED}
    assert len(items) == len(query_records) > 10
    assert all(query_record.outcome is not None for query_record in query_records)
    transactions = -never.left
    assert transactions > 5 * CYCLES

    for moment in range(1, transactions + 1):
        fate = Fate(moment, committed)
        assert life(scorer, tmp_path / f"{moment}.db", fate) == (items, query_records)
        assert fate.left < 0
