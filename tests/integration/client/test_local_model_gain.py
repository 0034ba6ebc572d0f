"""Whether the local model knows its device better than the global one: on digits.

Ten devices answer a few samples each and train a global model on them for three cycles.
Then the server is gone, people answer on, and every device trains its local model.
Both are measured on the samples of the device that nobody was asked about.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.oracles.oracle import Nobody
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import (
    LabelledBatch,
    TrainingJob,
    decayed,
)
from fedask.client.records.device_store import GLOBAL, LOCAL_MODEL
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device
from fedask.client.round.offline_training import train_offline
from fedask.client.store.memory import MemoryStore
from fedask.common.arrays import Arrays
from fedask.common.config import Scenario
from fedask.common.ids import DeviceId, Uid
from fedask.common.weights import ArraySpec, WeightedSum
from fedask.simulations.data.datasets import load_dataset
from fedask.simulations.fleet.partition import partition
from fedask.simulations.fleet.tasks import task_of

FIRST, CYCLES = 5, 3  # answers of each device while the server is there
FEWEST = 20  # samples to measure on
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALUES = {
    "data.source": "digits",
    "fleet.devices": 10,
    "train.rounds": 10,
    "train.steps": 3,
    "train.lr": 0.5,
    "train.weight_decay": 0.003,
}


class Fleet:
    """Devices with digits, and what they learnt together."""

    def __init__(self, seed: int, alpha: float) -> None:
        self.scenario = Scenario().with_values(
            {**VALUES, "seed": seed, "fleet.alpha": alpha}
        )
        self.task = task_of(self.scenario)
        self.learner = Learner(self.task, self.scenario.train)
        data = load_dataset(self.scenario.data, seed)
        rng = np.random.default_rng(seed)
        parts = partition(data.train_y, self.scenario.fleet, seed)
        orders = [rng.permutation(part) for part in parts]
        self.devices = [(data.train_x[rows], data.train_y[rows]) for rows in orders]
        self.model = self._together()

    def _together(self) -> Arrays:
        config, learner = self.scenario.train, self.learner
        state = self.task.build(self.scenario.seed).state_dict()
        model: Arrays = {name: tensor.numpy().copy() for name, tensor in state.items()}
        known: list[LabelledBatch] = [
            learner.prepare(x[:FIRST], y[:FIRST].tolist()) for x, y in self.devices
        ]
        for tick in range(CYCLES * config.rounds):
            total = WeightedSum(ArraySpec.of(model))
            learner.load(model)
            for number, labelled in enumerate(known):
                rate = decayed(config.lr, tick % config.rounds, config.rounds)
                stream = ("train", self.scenario.seed, number, tick)
                job = TrainingJob(labelled=labelled, lr=rate, prox=0.0, stream=stream)
                total.add(learner.train(job).arrays, len(labelled.targets))
            model = total.mean()
        return model

    def accuracies(self, answers: int) -> Iterator[tuple[float, float]]:
        """Yield those of the global and of the local model, for each device."""
        for number, (x, y) in enumerate(self.devices):
            asked = FIRST + answers
            if len(x) < asked + FEWEST:
                continue
            store = MemoryStore()
            source = ArraySource(x)
            uids = [Uid(uid) for uid in source.uids()[:asked].tolist()]
            store.queue.add(1, uids)
            store.queue.answer(dict(zip(uids, y[:asked].tolist(), strict=True)))
            store.models.put(GLOBAL, self.model, keep=1)
            device = Device(
                device_id=DeviceId(f"device-{number}"),
                pool=Pool(source),
                store=store,
                oracle=Nobody(),
            )
            run = RunContext(self.task, self.scenario, self.learner)
            assert train_offline(device, run, NOON) is not None
            (own,) = store.models.all(LOCAL_MODEL)
            rest = x[asked:], y[asked:]
            yield self._accuracy(self.model, *rest), self._accuracy(own, *rest)

    def _accuracy(
        self, model: Arrays, x: NDArray[np.float32], y: NDArray[np.int64]
    ) -> float:
        self.learner.load(model)
        return float((self.learner.predict(x).argmax(axis=1) == y).mean())


@pytest.mark.parametrize("alpha", [0.1, 1.0])  # very unequal devices, and less so
@pytest.mark.parametrize("answers", [10, 40])
def test_it_knows_its_device_better(alpha: float, answers: int) -> None:
    rows = [
        np.mean(list(Fleet(seed, alpha).accuracies(answers)), axis=0)
        for seed in range(3)
    ]

    shared, own = np.mean(rows, axis=0)

    assert own > shared + 0.01
