"""Accuracy on held-out data, at the server. For simulations: a real fleet has none."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.training.learner import Learner
from fedask.common.arrays import Arrays
from fedask.common.config import Scenario
from fedask.common.task import Task
from fedask.simulations.data.datasets import load_dataset

_BATCH_SAMPLES = 2048
_learners: dict[int, tuple[Task, Learner]] = {}


def held_out(
    task: Task, scenario: Scenario, arrays: Arrays
) -> Mapping[str, float | NDArray[np.uint16]]:
    """Measure a model on the test part of the scenario's data.

    Returns
    -------
    Mapping
        ``accuracy`` in [0, 1] and ``loss``, the mean negative log probability of the
        truth; ``predictions``: (n,) uint16, entry i the class given to test sample i.
    """
    data = load_dataset(scenario.data, scenario.seed)
    if id(task) not in _learners:
        _learners[id(task)] = (task, Learner(task, scenario.train))
    learner = _learners[id(task)][1]
    learner.load(arrays)
    predicted, loss = np.empty(len(data.test_y), dtype=np.uint16), 0.0
    for start in range(0, len(data.test_y), _BATCH_SAMPLES):
        truth = data.test_y[start : start + _BATCH_SAMPLES]
        probs = learner.predict(data.test_x[start : start + _BATCH_SAMPLES])
        predicted[start : start + len(truth)] = probs.argmax(axis=1)
        likelihood = probs[np.arange(len(truth)), truth].astype(np.float64)
        loss -= float(np.log(np.maximum(likelihood, 1e-12)).sum())
    correct = int((predicted == data.test_y).sum())
    return {
        "accuracy": correct / len(data.test_y),
        "loss": loss / len(data.test_y),
        "predictions": predicted,
    }
