"""The fleet that the runtime benchmark runs: many devices, little work on each.

With little local work the framework is the cost, which is what is measured.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import Scenario
from fedask.simulations.data.datasets import Dataset

_SAMPLES_PER_DEVICE = 10
_LABELS_PER_DEVICE = 8
CLASSES = 10
FEATURES = 64
_MOST_DEVICES = 10_000
_TEST_SAMPLES = 200


def samples() -> Dataset:
    """Return noisy clusters, enough for 10,000 devices: (100000, 64) float32."""
    rng = np.random.default_rng(0)
    count = _MOST_DEVICES * _SAMPLES_PER_DEVICE
    centres = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)

    def draw(number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        labels = np.arange(number, dtype=np.int64) % CLASSES
        noise = rng.standard_normal((number, FEATURES), dtype=np.float32)
        return centres[labels] + noise, labels

    train_x, train_y = draw(count)
    test_x, test_y = draw(_TEST_SAMPLES)
    return Dataset(
        name="clusters",
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        classes=tuple(str(number) for number in range(CLASSES)),
    )


def scenario(devices: int, *, rounds: int, cycles: int, store: str) -> Scenario:
    """Return the benchmark's scenario: a tiny perceptron, one local step a round.

    Parameters
    ----------
    devices
        At most 10,000.
    rounds
        Per cycle.
    cycles
        With one cycle devices only train; with more they also score and select.
    store
        ``memory`` or ``sqlite``.
    """
    values = {
        "name": "bench",
        "task.model": "mlp",
        "data.source": "fedask.simulations.bench.workload:samples",
        "data.limit": devices * _SAMPLES_PER_DEVICE,
        "fleet.devices": devices,
        "fleet.partition": "iid",
        "fleet.store": store,
        "ask.initial": _LABELS_PER_DEVICE,
        "ask.cycles": cycles,
        "ask.quota": max(1, devices // 2),
        "ask.batcher": "top",
        "train.rounds": rounds,
        "train.steps": 1,
        "train.lr": 0.05,
        "train.logit_shift": 0.0,  # the bare loop has none: the same steps
    }
    return Scenario().with_values(values)
