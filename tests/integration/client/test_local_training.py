"""A device in a folder trains its local model, between rounds or without a server."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import first_cut

from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import (
    Fault,
    TrainingJob,
    TrainingResult,
    WarmupJob,
)
from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import GLOBAL, LOCAL_MODEL
from fedask.client.records.label_queue import ItemState
from fedask.client.site import local_training
from fedask.client.site.data_watcher import DataWatcher
from fedask.client.site.eligibility.sensors.machine import MACHINE, Machine
from fedask.client.site.local_training import Attempt, LocalTraining, TrainingDecision
from fedask.client.store.audit.audit_check import latest, verify
from fedask.client.store.sqlite.claim import claimed
from fedask.common.errors import ConfigError, StoreError, UnavailableError
from fedask.common.records import DIVERGED

ANSWERS = 3  # it takes to train
OWN_TABLE = f"[local_model]\nanswers = {ANSWERS}\n"
NIGHT = '[eligible]\nhours = "22:00-06:00"\nzone = "UTC"\n'
BATTERY = "[eligible]\nbattery_min = 40\ninterval_s = 0.1\n"
MOST_S = 5.0  # from a sensor's flip to the end of the training


def ward_of(folder: Path, settings: str = OWN_TABLE, *, stream: str = "off") -> Ward:
    """Return a device after a cycle with the server, of whose answers one is new."""
    ward = Ward(folder, settings=settings, stream=stream)
    ward.arrive(30, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.people(FIRST, ANSWERS - 1)
    ward.round(1, 1, score=True)
    return ward


def say(ward: Ward, settings: str) -> None:
    """Add to what the owner of the device decided."""
    with (ward.folder / "device.toml").open("a") as file:
        file.write(settings)


def attempt(
    ward: Ward,
    machine: Machine = MACHINE,
    proceed: Callable[[], None] = lambda: None,
) -> Attempt:
    """Do what ``fedask device run-once`` does."""
    with ward.process(FIRST, machine) as site:
        watcher = DataWatcher(site)
        watcher.look()
        return LocalTraining(site, proceed).attempt(watcher.held)


def test_it_is_trained_once_there_are_enough_new_answers(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    before = attempt(ward)
    assert before.summary == (
        "local model not trained: 2 new answers, [local_model] answers = 3"
    )
    ward.people(FIRST, 1)

    made = attempt(ward)
    again = attempt(ward)

    assert made == Attempt(outcome=TrainingDecision.TRAINED, answers=3)
    assert made.summary == "local model trained on 3 answers"
    assert again.outcome is TrainingDecision.WAITS
    with ward.process(FIRST) as site:
        record = site.store.local_model.record()
        items = site.store.queue.items()
        assert record is not None
        assert record.base == ward.version()
        assert record.answers == {i.uid: ward.truth[i.uid] for i in items}
        assert record.at == FIRST
        (own,) = site.store.models.all(LOCAL_MODEL)
        (shared,) = site.store.models.all(GLOBAL)
        assert any(not np.array_equal(own[name], shared[name]) for name in own)
        # The server is to learn of the last answer yet.
        assert ItemState.LABELLED in {item.state for item in items}


def test_the_server_gets_what_it_would_have_got_without_it(tmp_path: Path) -> None:
    sent = []
    for name in ("with", "without"):
        folder = tmp_path / name
        folder.mkdir()
        ward = ward_of(folder)
        ward.people(FIRST, 1)
        if name == "with":
            assert attempt(ward).outcome is TrainingDecision.TRAINED
        sent.append(ward.sent(2, 0))

    one, two = sent
    assert one.report == two.report
    assert one.arrays is not None
    assert two.arrays is not None
    for key, array in one.arrays.items():
        np.testing.assert_array_equal(array, two.arrays[key])


def test_it_is_recorded_and_the_log_is_good(tmp_path: Path) -> None:
    ward = ward_of(tmp_path, "[local_model]\nanswers = 1\n")
    attempt(ward)
    ward.people(FIRST, 1)
    attempt(ward)

    path = tmp_path / "device.db"
    bodies = [
        json.loads(e.body) for e in latest(path, 99) if e.event == Event.LOCAL_TRAINED
    ]
    assert [body["answers"] for body in bodies] == [2, 3]
    assert [len(body["samples"]) for body in bodies] == [32, 16]  # 16 a sample
    with ward.process(FIRST) as site:
        key = site.settings.seal.audit_key_of(path)
    assert verify(path, key=key).ok


def test_without_a_global_model_there_is_nothing_to_begin_from(tmp_path: Path) -> None:
    ward = Ward(tmp_path, settings=OWN_TABLE, stream="off")
    ward.arrive(30, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.people(FIRST, CAPACITY)

    assert attempt(ward).outcome is TrainingDecision.NO_MODEL


def test_an_owner_who_wants_none_gets_none_and_keeps_no_model(tmp_path: Path) -> None:
    ward = ward_of(tmp_path, "[local_model]\nanswers = 0\n")
    ward.people(FIRST, 1)

    assert attempt(ward).outcome is TrainingDecision.OFF
    with ward.process(FIRST) as site:
        assert site.store.models.all(GLOBAL) == []
        assert site.store.local_model.record() is None


def test_with_a_stream_the_store_keeps_one_global_model(tmp_path: Path) -> None:
    ward = ward_of(tmp_path, stream="biqf")
    ward.round(2, 1, score=True)
    with ward.process(FIRST) as site:
        assert len(site.store.models.all(GLOBAL)) == 1


def test_answers_to_files_that_are_gone_do_not_count(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    with ward.process(FIRST) as site:
        gone = site.store.queue.items()[0].uid
    number = list(ward.truth).index(gone)
    (ward.photos / f"{number}.ppm").unlink()

    assert attempt(ward).outcome is TrainingDecision.WAITS


def test_a_folder_without_samples_trains_nothing(tmp_path: Path) -> None:
    ward = Ward(tmp_path, settings='kind = "images"\n' + OWN_TABLE)
    assert attempt(ward).outcome is TrainingDecision.WAITS


def test_a_training_that_diverges_is_not_tried_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    train = Learner.train

    def diverging(
        self: Learner, job: TrainingJob | WarmupJob, proceed: Callable[[], None]
    ) -> TrainingResult:
        return replace(train(self, job, proceed), fault=Fault(DIVERGED, ""))

    monkeypatch.setattr(Learner, "train", diverging)

    assert attempt(ward).outcome is TrainingDecision.DIVERGED
    assert attempt(ward).outcome is TrainingDecision.WAITS
    with ward.process(FIRST) as site:
        assert site.store.models.all(LOCAL_MODEL) == []


def test_outside_the_owner_s_hours_it_waits_and_says_so(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    say(ward, NIGHT)
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)

    refused = attempt(ward, Machine(clock=FakeClock(noon)))
    trained = attempt(ward, Machine(clock=FakeClock(noon + timedelta(hours=11))))

    assert refused.outcome is TrainingDecision.UNAVAILABLE
    assert refused.why == "not eligible: it is 12:00, not 22:00 to 06:00"
    assert trained.outcome is TrainingDecision.TRAINED


def test_a_wrong_setting_of_eligibility_names_the_file(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    say(ward, "[eligible]\nbatery_min = 4\n")
    with pytest.raises(ConfigError, match=r"device\.toml: unknown key 'eligible\.b"):
        attempt(ward)


def test_a_sensor_ends_it_between_two_steps(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    say(ward, BATTERY)
    level = tmp_path / "power" / "BAT0" / "capacity"
    level.parent.mkdir(parents=True)
    (level.parent / "type").write_text("Battery\n")
    level.write_text("90\n")

    def flip() -> None:
        level.write_text("10\n")
        for thread in threading.enumerate():
            if thread.name == "eligibility":
                thread.join(MOST_S)
                assert not thread.is_alive()  # it has seen it

    ended = attempt(ward, Machine(power=tmp_path / "power"), flip)

    assert ended == Attempt(
        outcome=TrainingDecision.UNAVAILABLE, why="not eligible: battery-low"
    )
    level.write_text("90\n")
    assert attempt(ward, Machine(power=tmp_path / "power")).answers == 3


def test_who_is_told_to_stop_stops_and_the_next_look_trains(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)

    def stop() -> None:
        raise UnavailableError("told to stop")

    assert attempt(ward, proceed=stop).summary.endswith("told to stop")
    assert attempt(ward).outcome is TrainingDecision.TRAINED


def test_a_sample_that_is_erased_meanwhile_is_not_learnt(tmp_path: Path) -> None:
    ward = ward_of(tmp_path, "[local_model]\nanswers = 2\n")
    with ward.process(FIRST) as other:
        (first, *_) = (i.uid for i in other.store.queue.items() if i.label is not None)

        def erase() -> None:
            other.store.erasure.forget([first])

        ended = attempt(ward, proceed=erase)

    assert ended.why == "a sample was erased while the local model was trained on it"
    with ward.process(FIRST) as site:
        assert site.store.local_model.record() is None


def test_a_store_of_another_task_is_refused(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    with ward.process(FIRST) as site:
        site.store.models.put(GLOBAL, {"weight": np.zeros((2, 2), np.float32)}, keep=1)

    with pytest.raises(StoreError, match="not one of this task"):
        attempt(ward)


def test_two_processes_do_not_train_at_once(tmp_path: Path) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    seen: list[Attempt] = []

    def meanwhile() -> None:
        if not seen:
            seen.append(attempt(ward))

    first = attempt(ward, proceed=meanwhile)

    assert first.outcome is TrainingDecision.TRAINED
    assert [each.outcome for each in seen] == [TrainingDecision.BUSY]


def test_what_another_process_has_just_trained_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = ward_of(tmp_path)
    ward.people(FIRST, 1)
    seen: list[Attempt] = []

    def later(path: Path) -> AbstractContextManager[bool]:
        monkeypatch.setattr(local_training, "claimed", claimed)
        seen.append(attempt(ward))
        return claimed(path)

    monkeypatch.setattr(local_training, "claimed", later)

    assert attempt(ward).outcome is TrainingDecision.WAITS
    assert [each.outcome for each in seen] == [TrainingDecision.TRAINED]
