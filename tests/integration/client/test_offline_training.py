"""A device that loses the server for weeks, and what it has done when it is back."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.arrivals import MONDAY
from tests.support.client.clock import FakeClock
from tests.support.client.world import (
    LABELS,
    NAME,
    SAMPLES,
    TASK,
    World,
    first_cut,
    whole_cut,
)

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.data.sources.source_watch import SourceWatch
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.oracles.oracle import Nobody
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.sample_stream import SampleStream
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import TrainingJob, TrainingResult
from fedask.client.records.annotation import Label
from fedask.client.records.device_store import GLOBAL, LOCAL_MODEL
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device
from fedask.client.round.offline_training import train_offline
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.arrays import model_version
from fedask.common.errors import StoreError, UnavailableError

VALUES = {
    "stream.controller": "biqf",
    "stream.explore": 0.2,
    "ask.capacity": 4,
    "train.lr": 0.5,  # so that few small steps tell
    "train.steps": 10,
}
FIRST, PER_DAY, DAYS = 18, 2, 21


class Ward:
    """The device: its data grow, its file stays, its processes come and go."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "device.db"
        self.count = FIRST
        self.watch = SourceWatch(lambda: ArraySource(SAMPLES[: self.count]))

    def opened(self, store: SqliteStore) -> World:
        """Return the server's side of the device as it is now."""
        world = World(VALUES, store)
        world.device = Device(
            device_id=NAME,
            pool=Pool(ArraySource(SAMPLES[: self.count])),
            store=store,
            oracle=Nobody(),
        )
        return world

    def connected(self, store: SqliteStore) -> World:
        """Go through a cycle with the server, and a cut at the end."""
        world = self.opened(store)
        world.round(1, 0, cut=first_cut())
        self.labels(store, MONDAY)
        world.round(1, 2, score=world.version)
        world.round(2, 0, cut=whole_cut(2, world.version))
        list(self.watch.look(100))
        return world

    def arrive(self, store: SqliteStore, now: datetime) -> None:
        """Let new samples arrive, and ask those that are worth it."""
        self.count += PER_DAY
        world = self.opened(store)
        run = RunContext(TASK, world.scenario, world.learner)
        for uids, raw in self.watch.look(100):
            assert self.watch.pool is not None
            SampleStream(self.watch.pool, store, run).take(uids, raw, now)

    def labels(self, store: SqliteStore, now: datetime) -> int:
        """Let a person answer all that waits."""
        desk = Desk(store.annotations, FakeClock(now), DeskSettings(classes=3))
        leases = desk.lease("ann", 100)
        for lease in leases:
            said = Label(LABELS[lease.uid])
            desk.submit("ann", lease.uid, lease.token, said, f"key-{lease.uid}")
        return len(leases)


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@pytest.fixture
def store(ward: Ward) -> Iterator[SqliteStore]:
    with closing(SqliteStore(ward.path)) as made:
        yield made


def test_three_weeks_without_a_server_lose_nothing(ward: Ward) -> None:
    with closing(SqliteStore(ward.path)) as store:
        ward.connected(store)
        before = len(store.queue.items())

    answered, own = 0, []
    for day in range(DAYS):
        now = MONDAY + timedelta(days=day + 1)
        with closing(SqliteStore(ward.path)) as store:  # a process of its own
            ward.arrive(store, now)
        with closing(SqliteStore(ward.path)) as store:
            answered += ward.labels(store, now)
            world = ward.opened(store)
            run = RunContext(TASK, world.scenario, world.learner)
            made = train_offline(world.device, run, now)
            assert made is not None
            assert len(made.answers) == len(store.queue.items())
            own += store.models.all(LOCAL_MODEL)

    with closing(SqliteStore(ward.path)) as store:
        asked = [i for i in store.queue.items() if i.origin is not QueryOrigin.CUT]
        assert len(asked) >= DAYS // 3
        assert answered >= len(asked)
        assert any(not np.array_equal(own[0][name], own[-1][name]) for name in own[0])

        report = ward.opened(store).round(2, 1).report

        assert report.asked == before + len(asked)
        assert report.answered == len(store.queue.items())
        assert {item.state for item in store.queue.items()} == {ItemState.TRAINED}


def test_the_local_model_is_trained_from_the_last_global_one_and_sent_nowhere(
    ward: Ward, store: SqliteStore
) -> None:
    world = ward.connected(store)
    run = RunContext(TASK, world.scenario, world.learner)
    ward.labels(store, MONDAY)
    items = store.queue.items()

    made = train_offline(world.device, run, MONDAY)
    (first,) = store.models.all(LOCAL_MODEL)
    again = train_offline(world.device, run, MONDAY)

    (kept,) = store.models.all(LOCAL_MODEL)
    (shared,) = store.models.all(GLOBAL)
    assert again == made == store.local_model.record()
    assert made == LocalModelRecord(
        base=model_version(shared),
        answers={item.uid: LABELS[item.uid] for item in items},
        at=MONDAY,
    )
    for name, array in first.items():
        np.testing.assert_array_equal(kept[name], array)
    assert any(not np.array_equal(kept[name], shared[name]) for name in shared)
    assert store.queue.items() == items
    accuracy, count = world.device.evaluate(world.learner, kept)
    assert count == len(items)
    assert accuracy > world.device.evaluate(world.learner, shared)[0]


def test_it_goes_on_for_a_cycle_and_stays_halfway(
    ward: Ward, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ward.connected(store)
    run = RunContext(TASK, world.scenario, world.learner)
    jobs = []

    def climb(learner: Learner, job: TrainingJob, _: object) -> TrainingResult:
        jobs.append(job)
        assert learner.loaded is not None
        arrays = {name: array + 1 for name, array in learner.loaded.items()}
        return TrainingResult(arrays, loss=0.0)

    monkeypatch.setattr(Learner, "train", climb)

    train_offline(world.device, run, MONDAY)

    (own,), (shared,) = store.models.all(LOCAL_MODEL), store.models.all(GLOBAL)
    rounds = world.scenario.train.rounds
    assert len(jobs) == rounds == len({job.stream for job in jobs})
    assert [job.lr for job in jobs] == sorted((job.lr for job in jobs), reverse=True)
    for name, array in shared.items():
        np.testing.assert_allclose(own[name], array + rounds / 2, rtol=1e-6)


def test_a_device_that_was_never_connected_trains_nothing(
    ward: Ward, store: SqliteStore
) -> None:
    world = ward.opened(store)
    run = RunContext(TASK, world.scenario, world.learner)

    assert train_offline(world.device, run, MONDAY) is None
    assert store.models.all(LOCAL_MODEL) == []


def test_a_store_of_another_task_is_refused(ward: Ward, store: SqliteStore) -> None:
    world = ward.connected(store)
    store.models.put(GLOBAL, {"weight": np.zeros((2, 2), np.float32)}, keep=1)

    with pytest.raises(StoreError, match="not one of this task"):
        train_offline(
            world.device, RunContext(TASK, world.scenario, world.learner), MONDAY
        )


def test_a_guard_stops_it_and_nothing_is_kept(ward: Ward, store: SqliteStore) -> None:
    world = ward.connected(store)

    def stop() -> None:
        msg = "not eligible: too-hot"
        raise UnavailableError(msg)

    world.device.proceed = stop
    with pytest.raises(UnavailableError, match="too-hot"):
        train_offline(
            world.device, RunContext(TASK, world.scenario, world.learner), MONDAY
        )

    assert store.models.all(LOCAL_MODEL) == []
