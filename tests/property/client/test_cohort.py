"""A device learns the same alone and in company, to the last bit."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from typing_extensions import override

from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import TrainingJob, TrainingResult
from fedask.common.sections import TrainConfig
from fedask.common.task import Task

CLASSES = [str(number) for number in range(5)]
FEATURES = 64
# Also odd sizes, for which a processor may compute other bits in company.
WIDTHS = st.lists(st.sampled_from([9, 33, 64, 80]), min_size=1, max_size=2)


def perceptron(widths: list[int]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        sizes = [FEATURES, *widths]
        layers: list[nn.Module] = []
        for here, there in pairwise(sizes):
            layers += [nn.Linear(here, there), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], len(CLASSES)))

    return build


def learner(model: Callable[[], nn.Module], config: TrainConfig) -> Learner:
    made = Learner(Task(classes=CLASSES, model=model, input_shape=(FEATURES,)), config)
    state = Task(classes=CLASSES, model=model).build(seed=1).state_dict()
    made.load({name: tensor.numpy().copy() for name, tensor in state.items()})
    return made


def jobs(
    made: Learner,
    counts: list[int],
    *,
    seed: int = 0,
    prox: float = 0.0,
    weak: bool = False,
) -> list[TrainingJob]:
    rng = np.random.default_rng(seed)
    given = []
    for number, count in enumerate(counts):
        samples = rng.normal(size=(count, FEATURES)).astype(np.float32)
        labels = rng.integers(0, len(CLASSES), count).tolist()
        weights = rng.choice([0.1, 1.0], count).tolist() if weak else None
        labelled = made.prepare(samples, labels, weights)
        given.append(
            TrainingJob(labelled=labelled, lr=0.3, prox=prox, stream=("s", number))
        )
    return given


def assert_same(one: TrainingResult, other: TrainingResult) -> None:
    assert np.array_equal(one.loss, other.loss, equal_nan=True)
    assert one.usable == other.usable
    assert list(one.arrays) == list(other.arrays)
    for name, array in one.arrays.items():
        assert np.array_equal(array, other.arrays[name], equal_nan=True), name
        assert array.dtype == other.arrays[name].dtype
        assert array.shape == other.arrays[name].shape


CONFIGS = st.builds(
    TrainConfig,
    steps=st.just(3),
    batch_size=st.sampled_from([4, 32]),
    momentum=st.sampled_from([0.0, 0.9]),
    weight_decay=st.sampled_from([0.0, 0.01]),
    logit_shift=st.sampled_from([0.0, 0.5]),
)


@settings(max_examples=40, deadline=None)
@given(
    config=CONFIGS,
    widths=WIDTHS,
    counts=st.lists(st.sampled_from([1, 3, 8, 11]), min_size=12, max_size=40),
    prox=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 99),
    weak=st.booleans(),
)
def test_whatever_is_trained_together_is_what_training_alone_gives(
    *,
    config: TrainConfig,
    widths: list[int],
    counts: list[int],
    prox: float,
    seed: int,
    weak: bool,
) -> None:
    made = learner(perceptron(widths), config)
    given = jobs(made, counts, seed=seed, prox=prox, weak=weak)

    together = made.train_together(given)

    for index, trained in together.items():
        assert_same(trained, made.train(given[index]))


@pytest.mark.parametrize("count", [8, 33])
@pytest.mark.parametrize("devices", [12, 37, 256])
@pytest.mark.parametrize("weak", [False, True])
def test_devices_with_equally_many_labels_of_a_registry_model_train_together(
    count: int, devices: int, *, weak: bool
) -> None:
    task = Task(classes=CLASSES, model="mlp", input_shape=(FEATURES,))
    made = Learner(task, TrainConfig(steps=2, batch_size=16))
    state = task.build(seed=1).state_dict()
    made.load({name: tensor.numpy().copy() for name, tensor in state.items()})

    together = made.train_together(jobs(made, [count] * devices, weak=weak))

    assert sorted(together) == list(range(devices))


def test_weighed_lessons_and_others_are_not_mixed() -> None:
    made = learner(perceptron([64]), TrainConfig(steps=2))
    plain = jobs(made, [8] * 12)
    weighed = jobs(made, [8] * 12, seed=1, weak=True)
    given = [each for pair in zip(plain, weighed, strict=True) for each in pair]

    together = made.train_together(given)

    assert sorted(together) == list(range(24))
    for index, trained in together.items():
        assert_same(trained, made.train(given[index]))


def test_a_proof_leaves_the_model_where_the_next_group_begins() -> None:
    made = learner(perceptron([64]), TrainConfig(steps=2))
    known, new = jobs(made, [8] * 12), jobs(made, [5] * 12)
    assert len(made.train_together(known)) == 12

    together = made.train_together([*new, *known])

    assert sorted(together) == list(range(24))
    for index, job in enumerate([*new, *known]):
        assert_same(together[index], made.train(job))


def test_few_devices_are_left_alone() -> None:
    made = learner(perceptron([64]), TrainConfig())

    assert made.train_together(jobs(made, [3, 3, 3, 5, 5])) == {}
    assert made.train_together([]) == {}


def test_a_model_too_small_to_prove_anything_is_left_alone() -> None:
    made = learner(perceptron([1]), TrainConfig())

    assert made.train_together(jobs(made, [3] * 100)) == {}


class Normed(nn.Module):
    """A model that keeps running statistics, which are each device's own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES)
        self.out = nn.Linear(FEATURES, len(CLASSES))

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.norm(x))
        return logits


class Choosing(nn.Linear):
    """A model that looks at its values, which no vectorised program can do."""

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = super().forward(x)
        return out if out.sum() > 0 else out * 2


class Recurrent(nn.Module):
    """A model with a layer that torch vectorises in name only: by a loop, slower."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(FEATURES // 8, 16, batch_first=True)
        self.out = nn.Linear(16, len(CLASSES))

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.memory(x.view(-1, 8, FEATURES // 8))
        logits: torch.Tensor = self.out(steps[:, -1])
        return logits


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, len(CLASSES)), nn.Dropout(0.5))


@pytest.mark.parametrize(
    "model",
    [Normed, lambda: Choosing(FEATURES, len(CLASSES)), Recurrent, dropping],
)
def test_a_model_that_cannot_be_vectorised_is_trained_one_by_one(
    model: Callable[[], nn.Module],
) -> None:
    made = learner(model, TrainConfig(steps=2))
    given = jobs(made, [4] * 64)

    assert made.train_together(given) == {}
    assert made.most_together == 1


class Sly(nn.Module):
    """A model that gives another result when it is vectorised."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(FEATURES, len(CLASSES))

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(x)
        alone = torch._C._functorch.maybe_current_level() is None
        return logits if alone else logits * 1.001


def test_company_that_changes_one_bit_is_refused() -> None:
    made = learner(Sly, TrainConfig(steps=2))
    given = jobs(made, [4] * 64)

    assert made.train_together(given) == {}
    assert made.train_together(given) == {}


def test_one_device_that_diverges_does_not_touch_the_others() -> None:
    made = learner(perceptron([64]), TrainConfig(steps=2, logit_shift=0.0))
    given = jobs(made, [4] * 8)
    broken = made.prepare(np.full((4, FEATURES), 3e38, dtype=np.float32), [0, 1, 2, 3])
    given[3] = TrainingJob(labelled=broken, lr=0.3, prox=0.0, stream=("s", 3))

    together = made.train_together(given)

    assert [index for index in together if not together[index].usable] == [3]
    for index in together:
        assert_same(together[index], made.train(given[index]))


def test_frozen_layers_and_shared_tensors_stay_what_they_are() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(FEATURES, FEATURES).requires_grad_(False)
            self.one = nn.Linear(FEATURES, FEATURES)
            self.two = nn.Linear(FEATURES, FEATURES)
            self.two.weight = self.one.weight
            self.out = nn.Linear(FEATURES, len(CLASSES))

        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = functional.relu(self.one(self.frozen(x)))
            logits: torch.Tensor = self.out(self.two(hidden))
            return logits

    made = learner(Tied, TrainConfig(steps=3))
    given = jobs(made, [5] * 9)

    together = made.train_together(given)

    assert len(together) == len(given)
    for index in together:
        assert_same(together[index], made.train(given[index]))
        arrays = together[index].arrays
        assert "two.weight" not in arrays  # one tensor is one array
