"""A learner, a model to start from, and training jobs, for the tests of the learner."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import TrainingJob
from fedask.common.sections import TrainConfig
from fedask.common.task import Task

CLASSES = ("a", "b", "c")
RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(24, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 24).tolist()
PLAIN = TrainConfig(steps=6, momentum=0.0, logit_shift=0.0)

Arrays = Mapping[str, NDArray[Any]]
Build = Callable[[], nn.Module]


def task(model: str | Build = "mlp", **options: Any) -> Task:  # noqa: ANN401
    return Task(classes=CLASSES, model=model, input_shape=(5,), **options)


def learner(config: TrainConfig = PLAIN, given: Task | None = None) -> Learner:
    made = Learner(given or task(), config)
    made.load(start(given))
    return made


def start(given: Task | None = None) -> dict[str, NDArray[Any]]:
    state = (given or task()).build(seed=3).state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items()}


def job(
    made: Learner, *, lr: float = 0.1, prox: float = 0.0, stream: int = 0, n: int = 24
) -> TrainingJob:
    labelled = made.prepare(SAMPLES[:n], LABELS[:n])
    return TrainingJob(labelled=labelled, lr=lr, prox=prox, stream=("train", stream))
