"""What a model keeps besides its weights, and in which mode it trains."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
import pytest
import torch
from tests.support.client.training_jobs import PLAIN, SAMPLES, job, learner, start, task
from torch import nn
from typing_extensions import override

from fedask.client.learning.training.training_step import Fault
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.records import DIVERGED, UNFIT


def norm() -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3))


def frozen_norm() -> nn.Module:
    model = norm()
    model[0].eval()
    return model


@pytest.mark.parametrize("predicts_first", [False, True])
def test_a_part_in_eval_mode_sees_no_batch_whatever_ran_before(
    predicts_first: bool,
) -> None:
    made = learner(replace(PLAIN, steps=10), task(frozen_norm))
    if predicts_first:
        made.predict(SAMPLES)
        made.look(SAMPLES)
    trained = made.train(job(made))
    assert trained.arrays["0.num_batches_tracked"] == 0
    assert np.array_equal(trained.arrays["0.running_mean"], np.zeros(5))
    assert {*trained.update} == {"0.weight", "0.bias", "1.weight", "1.bias"}


class Averaging(nn.Module):
    """A running mean that is a new tensor each time; a mask; a frozen scale."""

    mean: torch.Tensor
    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, -inf]))
        self.scale = nn.Parameter(torch.ones(5), requires_grad=False)
        self.out = nn.Linear(5, 3)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        logits: torch.Tensor = self.out((x - self.mean) * self.scale)
        return logits + self.mask[:3]


def test_a_buffer_that_forward_replaces_is_in_the_update_and_gone_after() -> None:
    made = learner(PLAIN, task(Averaging))
    expected = torch.zeros(5)
    for _ in range(PLAIN.steps):
        expected = 0.9 * expected + 0.1 * torch.from_numpy(SAMPLES).mean(0)

    first = made.train(job(made))
    again = made.train(job(made))

    assert first.usable
    assert np.array_equal(first.update["mean"], expected.numpy())
    assert np.array_equal(again.arrays["mean"], first.arrays["mean"])
    assert {*first.update} == {"mean", "out.weight", "out.bias"}  # no constant
    assert first.arrays["mask"].tolist() == [0, 0, 0, -inf]


def test_a_replaced_buffer_does_not_reach_the_next_prediction() -> None:
    made = learner(PLAIN, task(Averaging))
    before = made.predict(SAMPLES)
    made.train(job(made))
    assert np.array_equal(made.predict(SAMPLES), before)


class Clamping(nn.Linear):
    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight.data = self.weight.data.clamp(-0.1, 0.1)
        return super().forward(x)


class Renewing(nn.Linear):
    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight = nn.Parameter(self.weight.detach().clamp(-0.1, 0.1))
        return super().forward(x)


@pytest.mark.parametrize("kind", [Clamping, Renewing])
def test_weights_that_forward_replaces_are_trained(
    kind: Callable[[int, int], nn.Module],
) -> None:
    given = task(lambda: kind(5, 3))
    made = learner(PLAIN, given)
    trained = made.train(job(made, lr=0.05)).arrays
    clamped = start(given)["weight"].clip(-0.1, 0.1)
    assert (np.abs(trained["weight"] - clamped) > 1e-4).any()
    assert np.abs(trained["weight"]).max() < 0.2  # one step beyond the clamp


@pytest.mark.parametrize("seen", [65_535, 65_536, 2**40])
def test_counters_go_on_beyond_what_a_weight_may_be(seen: int) -> None:
    made = learner(
        PLAIN, task(lambda: nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)))
    )
    model = {**start(task(norm)), "0.num_batches_tracked": np.array(seen)}
    made.load(model)
    trained = made.train(job(made))
    assert trained.usable
    assert trained.update["0.num_batches_tracked"] == seen + PLAIN.steps


class Teacher(Averaging):
    """Moves a frozen parameter."""

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.scale.data.mul_(0.99)
        return super().forward(x)


def test_a_constant_that_training_changes_is_told_by_name() -> None:
    made = learner(PLAIN, task(Teacher))
    assert made.train(job(made)).fault == Fault(UNFIT, "scale")
    made.load(start(task(Teacher)))
    assert made.loaded is not None


def test_a_weight_that_is_too_large_is_told_by_name_and_no_loss_blamed() -> None:
    made = learner(replace(PLAIN, steps=1), task(lambda: nn.Linear(5, 3)))
    assert made.train(job(made, lr=1e9)).fault == Fault(UNFIT, "weight")


def test_a_loss_that_is_not_finite_is_called_so() -> None:
    fault = learner(PLAIN).train(job(learner(PLAIN), lr=1e30)).fault
    assert fault is not None
    assert fault.reason == DIVERGED


def test_a_model_without_anything_to_train_is_refused() -> None:
    made = learner(PLAIN, task(lambda: nn.Linear(5, 3).requires_grad_(False)))
    with pytest.raises(ConfigError, match="no parameter that requires grad"):
        made.train(job(made))


def test_a_negative_variance_is_named_where_the_model_gives_nan() -> None:
    given = task(frozen_norm)
    made = learner(PLAIN, given)
    wrong = {**start(given), "0.running_var": np.full(5, -1, np.float32)}
    made.load(wrong)
    with pytest.raises(ProtocolError, match=r"'0\.running_var' holds a negative"):
        made.predict(SAMPLES)


def test_a_model_that_rules_out_every_class_is_refused() -> None:
    class Nothing(nn.Linear):
        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = super().forward(x)
            logits[3] = -inf
            return logits

    made = learner(PLAIN, task(lambda: Nothing(5, 3)))
    with pytest.raises(ProtocolError, match="rules out every class of a sample"):
        made.predict(SAMPLES)
