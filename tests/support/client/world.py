"""A small world for the tests of the device: a task, a pool, people with a script."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.oracles.oracle import Oracle
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.learner import Learner
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.label_queue import Item
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device, RoundOutcome
from fedask.client.store.memory import MemoryStore
from fedask.common.arrays import Arrays, model_version
from fedask.common.clock import Clock
from fedask.common.config import Scenario
from fedask.common.cut import Cut
from fedask.common.ids import DeviceId, Uid, content_uid
from fedask.common.records import Ask
from fedask.common.task import Task

CLASSES = ("red", "green", "blue")
TASK = Task(classes=CLASSES, model="linear", input_shape=(4,))
SCENARIO = Scenario().with_values(
    {
        "ask.capacity": 5,
        "ask.first": "random",
        "ask.batcher": "top",
        "ask.bins": 16,
        "train.rounds": 3,
        "train.steps": 2,
    }
)
_RNG = np.random.default_rng(42)
TRUTH = _RNG.integers(0, 3, 60)
SAMPLES = (np.eye(4)[TRUTH] * 2 + _RNG.normal(size=(60, 4))).astype(np.float32)
UIDS = [content_uid(sample) for sample in SAMPLES]
LABELS = dict(zip(UIDS, TRUTH.tolist(), strict=True))
NAME = DeviceId("ward-3")


class Script(Oracle):
    """People who answer what is written down for them, as long as they are willing.

    Parameters
    ----------
    answers
        Uid to what they say.
    """

    def __init__(self, answers: Mapping[Uid, int]) -> None:
        self.answers = dict(answers)
        self.willing = True
        self.asked: list[list[Uid]] = []

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        self.asked.append([item.uid for item in items])
        if not self.willing:
            return {}
        return {i.uid: self.answers[i.uid] for i in items if i.uid in self.answers}


def model(seed: int = 1) -> dict[str, NDArray[Any]]:
    state = TASK.build(seed).state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items()}


def first_cut(cycle: int = 1, take: int = 2, nonce: int = 9) -> Cut:
    return Cut(cycle=cycle, model_version="", nonce=nonce, take=take)


def whole_cut(cycle: int, version: str, groups: int = 3) -> Cut:
    """A cut that buys every score there is."""
    return Cut(cycle=cycle, model_version=version, nonce=7, theta=(0,) * groups)


def run_round(
    device: Device, scenario: Scenario, learner: Learner, ask: Ask, model: Arrays
) -> RoundOutcome:
    """Do with one message what the ClientApp does with it."""
    learner.load(model)
    begun = device.begin(RunContext(TASK, scenario, learner), ask, prox=0.0)
    trained = None if begun.job is None else learner.train(begun.job)
    return device.finish(begun, trained)


class World:
    """One device and the server's side of its rounds.

    Parameters
    ----------
    values
        Dotted keys over ``SCENARIO``.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, store: DeviceStore | None = None
    ) -> None:
        self.scenario = SCENARIO.with_values(values or {})
        self.learner = Learner(TASK, self.scenario.train)
        self.people = Script(LABELS)
        self.store: DeviceStore = MemoryStore() if store is None else store
        self.model = model()
        self.device = self.made(self.store)

    def made(
        self,
        store: DeviceStore,
        samples: NDArray[np.float32] = SAMPLES,
        clock: Clock | None = None,
    ) -> Device:
        return Device(
            device_id=NAME,
            pool=Pool(ArraySource(samples)),
            store=store,
            oracle=self.people,
            clock=clock,
        )

    @property
    def version(self) -> str:
        return model_version(self.model)

    def round(
        self,
        cycle: int,
        step: int,
        *,
        cut: Cut | None = None,
        score: str = "",
        accuracy: float | None = None,
    ) -> RoundOutcome:
        """Send one train message."""
        ask = Ask(cycle=cycle, step=step, cut=cut, score=score, accuracy=accuracy)
        return run_round(self.device, self.scenario, self.learner, ask, self.model)

    def scored(self, cycle: int = 1) -> RoundOutcome:
        """Do a first cycle that ends with scores of the current model."""
        self.round(cycle, 0, cut=first_cut(cycle))
        return self.round(cycle, 2, score=self.version)

    def items(self) -> dict[Uid, Item]:
        return {item.uid: item for item in self.store.queue.items()}

    def queued_in(self, cycle: int) -> list[Uid]:
        return [item.uid for item in self.store.queue.items() if item.cycle == cycle]
