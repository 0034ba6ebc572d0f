from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.support.client.training_jobs import (
    PLAIN,
    SAMPLES,
    job,
    learner,
    start,
    task,
)
from torch import nn
from typing_extensions import override

from fedask.client.learning.training.learner import Learner
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.sections import TrainConfig
from fedask.common.weights import to_record


class Normed(nn.Module):
    """A module of the user's own, with buffers, one of them whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.out = nn.Linear(5, 3)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.norm(x))
        return logits


def test_buffers_of_batch_norm_travel_with_the_model() -> None:
    given = task(Normed)
    made = learner(PLAIN, given)
    trained = made.train(job(made)).arrays

    assert trained["norm.num_batches_tracked"].dtype == np.int64
    assert trained["norm.num_batches_tracked"].shape == ()
    assert int(trained["norm.num_batches_tracked"]) == PLAIN.steps
    assert not np.array_equal(trained["norm.running_mean"], np.zeros(5))
    sent = made.read(to_record(trained))
    for name, array in sent.items():
        assert np.array_equal(array, trained[name]), name
        assert array.dtype == trained[name].dtype
    before = made.predict(SAMPLES)
    made.load(sent)
    assert not np.array_equal(made.predict(SAMPLES), before)


@pytest.mark.parametrize("labels", [1, 3])
def test_a_lone_sample_leaves_batch_norm_its_running_statistics(labels: int) -> None:
    made = learner(replace(PLAIN, batch_size=1), task(Normed))
    given = made.prepare(SAMPLES[:labels], [0] * labels)
    trained = made.train(replace(job(made), labelled=given))

    assert trained.usable
    assert np.array_equal(trained.arrays["norm.running_mean"], np.zeros(5))
    assert not np.array_equal(trained.arrays["norm.weight"], np.ones(5))


def test_predicting_leaves_the_buffers_alone() -> None:
    made = learner(PLAIN, task(Normed))
    expected = made.train(job(made)).arrays

    made.predict(SAMPLES)
    made.look(SAMPLES)

    for name, array in made.train(job(made)).arrays.items():
        assert np.array_equal(array, expected[name]), name


def test_what_a_lesson_gave_is_not_touched_by_the_next() -> None:
    made = learner()
    first = made.train(job(made)).arrays
    kept = {name: array.copy() for name, array in first.items()}

    made.train(job(made, lr=0.9))

    assert all(np.array_equal(kept[name], array) for name, array in first.items())


class Partly(nn.Module):
    """A module with a layer that its output does not use, and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.unused = nn.Linear(5, 7)
        self.out = nn.Linear(5, 3)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.frozen(x))
        return logits


def test_layers_that_are_frozen_or_unused_stay_as_they_are() -> None:
    given = task(Partly)
    made = learner(PLAIN, given)

    after = made.train(job(made)).arrays

    before = start(given)
    changed = {name for name in after if not np.array_equal(before[name], after[name])}
    assert changed == {"out.weight", "out.bias"}


def test_predictions_are_the_softmax_of_the_model() -> None:
    made = learner()

    probs = made.predict(SAMPLES)

    with torch.no_grad():
        logits = task().build(seed=3)(torch.from_numpy(SAMPLES)).double()
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, torch.softmax(logits, 1).numpy(), atol=1e-6)


def test_features_are_what_the_last_linear_layer_sees() -> None:
    made = learner()

    logits, features = made.look(SAMPLES)

    model = task().build(seed=3)
    assert isinstance(model, nn.Sequential)
    with torch.no_grad():
        expected = model[:-1](torch.from_numpy(SAMPLES)).numpy()
    assert np.array_equal(features, expected)
    assert np.array_equal(made.softmax(logits), made.predict(SAMPLES))


def test_a_class_that_the_model_rules_out_has_probability_zero() -> None:
    class Without(nn.Linear):
        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = super().forward(x)
            logits[:, 1] = -torch.inf
            return logits

    made = learner(PLAIN, task(lambda: Without(5, 3)))

    assert (made.predict(SAMPLES)[:, 1] == 0.0).all()


def test_divergence_is_told_and_shows_in_the_predictions() -> None:
    made = learner(TrainConfig(steps=6, logit_shift=0.0))

    diverged = made.train(job(made, lr=1e30))

    assert not diverged.usable
    assert made.train(job(made)).usable
    made.load(diverged.arrays)
    with pytest.raises(ProtocolError, match="gives NaN or infinity"):
        made.predict(SAMPLES)


def test_divergence_in_the_very_last_step_is_told() -> None:
    made = learner(TrainConfig(steps=1, logit_shift=0.0))

    diverged = made.train(job(made, lr=1e9))

    assert np.isfinite(diverged.loss)  # taken before the step
    assert not diverged.usable  # the server would refuse it


@pytest.mark.parametrize("outputs", [2, 4])
def test_a_model_that_does_not_fit_the_classes_is_refused(outputs: int) -> None:
    given = task(lambda: nn.Linear(5, outputs))
    made = Learner(given, PLAIN)
    message = rf"gives \(24, {outputs}\) for 24 samples, but the task has 3 classes"

    with pytest.raises(ConfigError, match=message):
        made.predict(SAMPLES)
    with pytest.raises(ConfigError, match=message):
        made.look(SAMPLES)
    with pytest.raises(ConfigError, match=message):
        made.train(job(made))
