"""A device that asks on arrival between two rounds: what is kept, answered and paid."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.arrivals import (
    DAY,
    MONDAY,
    pace_of,
)
from tests.support.client.world import (
    SAMPLES,
    TASK,
    UIDS,
    World,
    first_cut,
    whole_cut,
)

from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.sample_stream import SampleStream
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.common.ids import Uid
from fedask.common.records import OTHER_MODEL
from fedask.server.ledger import Ledger


def stream_of(world: World) -> SampleStream:
    run = RunContext(TASK, world.scenario, world.learner)
    return SampleStream(world.device.pool, world.store, run)


def rows(uids: list[Uid]) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    return np.array(uids), SAMPLES[[UIDS.index(uid) for uid in uids]]


@pytest.mark.parametrize("controller", ["off", "biqf"])
def test_a_device_keeps_cut_and_model_only_for_a_stream(controller: str) -> None:
    world = World({"stream.controller": controller})
    world.scored()
    first = world.store.cuts.last()

    world.round(2, 0, cut=whole_cut(2, world.version))

    kept = world.store.models.all(GLOBAL)
    if controller == "off":
        assert (first, world.store.cuts.last(), kept) == (None, None, [])
    else:
        assert first == first_cut()
        assert world.store.cuts.last() == whole_cut(2, world.version)
        assert len(kept) == 1
        for name, array in kept[0].items():
            np.testing.assert_array_equal(array, world.model[name])


def test_a_cut_that_is_refused_is_not_kept() -> None:
    world = World({"stream.controller": "biqf"})
    world.scored()

    refused = world.round(2, 0, cut=whole_cut(2, "f" * 16)).report.refused

    assert refused == OTHER_MODEL
    assert world.store.cuts.last() == first_cut()


def test_an_arrival_has_the_score_that_the_pool_gives_it() -> None:
    world = World({"stream.controller": "biqf", "ask.scorer": "entropy"})
    world.people.willing = False
    world.scored()
    kept = world.store.scores.last()
    assert kept is not None
    uids = [Uid(uid) for uid in kept[1].uids.tolist()]

    stream_of(world).take(*rows(uids), MONDAY)

    recent = pace_of(world.store).state.recent
    assert recent == pytest.approx(kept[1].scores.tolist(), abs=1e-6)


def test_what_arrived_is_answered_trained_on_and_paid_from_the_next_grant() -> None:
    values = {"stream.controller": "biqf", "stream.budget": 0.5, "stream.explore": 0.1}
    world = World({**values, "ask.patience": 2})
    ledger = Ledger()
    ledger.grant_first(2)
    ledger.note(world.scored().report)
    assert ledger.grant(20) == 20
    ledger.note(world.round(2, 0, cut=whole_cut(2, world.version)).report)
    assert ledger.spent == 7
    new = [uid for uid in UIDS if uid not in world.items()]

    tuesday = MONDAY + DAY
    world.people.willing = False
    queued = stream_of(world).take(*rows(new[:20]), MONDAY)
    assert len(queued) == 5 - 5  # people are busy with what the cut asked
    queued = stream_of(world).take(*rows(new[20:]), tuesday)
    assert len(queued) == 5
    assert Counter(i.origin for i in world.store.queue.items())[QueryOrigin.CUT] == 7

    report = world.round(2, 1).report  # the first word of it to the server
    assert (report.asked, report.answered, report.cut_cycle) == (12, 7, 2)
    ledger.note(report)
    assert ledger.grant(20) == 20 + 22 - 12  # 35 if nothing had arrived
    world.people.willing = True
    report = world.round(2, 2).report
    assert (report.answered, report.skipped, report.expired) == (12, 0, 0)
    assert {world.items()[uid].state for uid in queued} == {ItemState.TRAINED}


def test_what_nobody_answers_expires_and_is_paid_back() -> None:
    values = {"stream.controller": "biqf", "stream.budget": 0.5}
    world = World({**values, "ask.patience": 2})
    world.scored()
    world.people.willing = False
    new = [uid for uid in UIDS if uid not in world.items()]
    queued = stream_of(world).take(*rows(new), MONDAY)
    assert queued
    ledger = Ledger()
    ledger.note(world.round(1, 2).report)
    assert ledger.spent == 2 + len(queued)

    ledger.note(world.round(3, 0).report)

    assert ledger.spent == 2
    assert {world.items()[uid].state for uid in queued} == {ItemState.EXPIRED}
