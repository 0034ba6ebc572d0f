"""Rounds of a real device's ClientApp, on digits, that a sensor stops."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from tests.support.client.folders import open_folder, write_settings
from tests.support.client.messages import ask_record, message, pose_as_server
from tests.support.client.world import first_cut
from torch.nn import functional

from fedask.client.app import DeviceApp, client_app
from fedask.client.records.label_queue import ItemState
from fedask.client.round.device import Device as RoundDevice
from fedask.client.site.deployment import open_device
from fedask.client.site.eligibility.sensors.machine import Machine
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.arrays import model_version
from fedask.common.config import Scenario
from fedask.common.ids import content_uid
from fedask.common.task import Task
from fedask.common.weights import to_record
from fedask.simulations.data.datasets import load_dataset

MOST_S = 5.0  # from a sensor's flip to the reply
CLASSES = tuple("0123456789")
STEPS = 1_000_000  # minutes of training


class Device:
    """A device with digits, on a battery, whose training says that it has begun."""

    def __init__(self, folder: Path) -> None:
        images, labels = digits()
        np.save(folder / "pool.npy", images)
        rows = [
            f"{content_uid(image)},{label}"
            for image, label in zip(images, labels, strict=True)
        ]
        (folder / "labels.csv").write_text("\n".join(["uid,label", *rows]))
        self.level = folder / "power" / "BAT0" / "capacity"
        self.level.parent.mkdir(parents=True)
        (self.level.parent / "type").write_text("Battery\n")
        self.charge(90)
        self.steps = 0
        self.begun = threading.Event()
        self.flip_after = -1
        self.flipped_s = 0.0
        self.looks = 0
        self.flip_at_look = -1
        self.task = Task(
            classes=CLASSES,
            model="linear",
            input_shape=(64,),
            transform=self.transform,
            loss=self.loss,
        )
        self.folder = folder
        self.store = folder / "device.db"
        self.eligible: dict[str, Any] = {"battery_min": 40, "interval_s": 0.1}
        self.machine = Machine(power=folder / "power")

    def charge(self, level: int) -> None:
        self.level.write_text(f"{level}\n")

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        if self.steps == self.flip_after:
            self.charge(10)
            self.flipped_s = time.monotonic()
            self.begun.set()
        return functional.cross_entropy(logits, targets)

    def transform(self, raw: np.ndarray[Any, Any]) -> torch.Tensor:
        self.looks += 1
        if self.looks == self.flip_at_look:
            self.charge(10)
            for thread in threading.enumerate():
                if thread.name == "eligibility":
                    thread.join(MOST_S)  # until it has seen it
        return torch.from_numpy(raw)

    def settings(self) -> dict[str, Any]:
        data = {"data": "pool.npy"}
        return {"data": data, "labels": "labels.csv", "eligible": self.eligible}

    @contextmanager
    def open(self, task: Task, *_: object) -> Iterator[RoundDevice]:
        folder = open_folder(self.folder, self.settings(), machine=self.machine)
        with folder, open_device(folder, task) as device:
            yield device

    def app(self) -> DeviceApp:
        return client_app(self.task, open_device=self.open)

    def train(
        self, *, steps: int, score: bool = False, step: int = 0, cut: bool = False
    ) -> Message:
        config = Scenario().with_values(
            {
                "ask.capacity": 20,
                "ask.first": "random",
                "ask.batcher": "top",
                "train.rounds": 3,
                "train.steps": steps,
            }
        )
        arrays = {n: t.numpy() for n, t in self.task.build(1).state_dict().items()}
        record: ArrayRecord = to_record(arrays)
        version = model_version(arrays) if score else ""
        content = RecordDict({"arrays": record, "config": ConfigRecord()})
        content["fedask.ask"] = ask_record(
            step=step, score=version, cut=first_cut(take=20) if cut else None
        )
        context = Context(1, 2, {}, RecordDict(), config.to_flat())
        return self.app()(message(content), context)

    def states(self) -> set[ItemState]:
        store = SqliteStore(self.store)
        try:
            return {item.state for item in store.queue.items()}
        finally:
            store.close()


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    dataset = load_dataset(Scenario().data, 0)
    images = dataset.train_x.reshape(len(dataset.train_x), -1).astype(np.float32)
    return images, dataset.train_y


@pytest.fixture
def device(tmp_path: Path) -> Device:
    pose_as_server()
    return Device(tmp_path)


def reason(reply: Message) -> str:
    assert reply.has_error()
    return str(reply.error.reason)


def test_a_round_is_interrupted_and_the_next_goes_on_with_nothing_lost(
    device: Device,
) -> None:
    device.flip_after = 50

    interrupted = device.train(steps=STEPS, cut=True)

    waited_s = time.monotonic() - device.flipped_s
    assert reason(interrupted) == "UnavailableError: not eligible: battery-low"
    assert device.begun.is_set()
    assert waited_s < MOST_S
    assert device.steps < STEPS
    assert device.states() == {
        ItemState.LABELLED
    }  # answered, and kept for the next round

    device.charge(90)
    reply = device.train(steps=5, step=1, cut=True)

    assert not reply.has_error()
    assert device.states() == {ItemState.TRAINED}


def test_a_device_that_is_not_eligible_answers_before_it_opens_anything(
    device: Device,
) -> None:
    device.charge(10)

    reply = device.train(steps=5, cut=True)

    assert reason(reply) == "UnavailableError: not eligible: battery-low"
    assert device.steps == 0
    assert not device.store.exists()


def test_scoring_is_interrupted_between_batches(device: Device) -> None:
    assert not device.train(steps=5, cut=True).has_error()
    steps = device.steps
    device.looks, device.flip_at_look = 0, 1

    reply = device.train(steps=5, step=1, score=True)

    assert reason(reply) == "UnavailableError: not eligible: battery-low"
    assert device.looks == 1  # of several batches
    assert device.steps == steps

    device.charge(90)
    assert not device.train(steps=5, step=1, score=True).has_error()
    assert device.looks > 2


def test_the_app_of_a_node_asks_before_it_prepares_anything(device: Device) -> None:
    now = datetime.now(UTC)
    begin, end = now + timedelta(hours=2), now + timedelta(hours=3)
    hours = f"{begin:%H:%M}-{end:%H:%M}"
    device.eligible = {"hours": hours, "zone": "UTC"}
    node: dict[str, Any] = {
        "site": str(write_settings(device.folder, device.settings()))
    }
    prepared: list[Mapping[str, Any]] = []

    def task(scenario: Scenario) -> Task:
        prepared.append(scenario.to_flat())
        return device.task

    for kind in ("train", "evaluate"):
        context = Context(1, 2, node, RecordDict(), Scenario().to_flat())
        reply = client_app(task)(message(RecordDict(), kind), context)
        assert reason(reply) == "UnavailableError: not eligible: outside-hours"

    assert prepared == []
