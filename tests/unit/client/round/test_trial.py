"""What would fail in each round fails in the trial, and what works there passes it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from fedask.client.learning.batchers.batcher import Shortlist
from fedask.client.learning.scorers.scorer import PredictionView, ScoringContext
from fedask.client.round.trial import try_rounds
from fedask.common import Task
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.settings import Scalar

Model = Callable[[], Any]
Option = Any  # of a task
STEPS, WIDTH, CLASSES = 5, 4, 3
SAMPLES = np.random.default_rng(0).normal(size=(20, STEPS, WIDTH)).astype(np.float32)


class Net(nn.Module):
    """A recurrent model with a linear layer; what differs is how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(WIDTH, 8, batch_first=True)
        self.fc = nn.Linear(8, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> object:
        return self.head(self.rnn(x)[0])

    def head(self, states: torch.Tensor) -> object:
        return self.fc(states[:, -1])


class ByKeyword(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(input=states[:, -1])


class OnRows(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(states.reshape(-1, 8)).reshape(-1, STEPS, CLASSES).mean(dim=1)


class OnRowsMixed(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        rows = states.transpose(0, 1).reshape(-1, 8)  # time first
        return self.fc(rows).reshape(STEPS, -1, CLASSES).mean(dim=0)


class TimeFirst(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(states.transpose(0, 1)).mean(dim=0)


class Reused(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(states[:, 0]) + self.fc(states[:, -1])


class InADict(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return {"logits": self.fc(states[:, -1]), "hidden": states}


class InAnObject(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return SimpleNamespace(logits=self.fc(states[:, -1]), loss=None)


class InATuple(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(states[:, -1]), states


class Half(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(states[:, -1])


class Squeezed(Net):
    @override
    def head(self, states: torch.Tensor) -> object:
        return self.fc(states[:, -1].squeeze())


class Normed(Net):
    """Its own batch statistics, which a lone sample does not have."""

    @override
    def head(self, states: torch.Tensor) -> object:
        last = states[:, -1]
        if self.training and len(last) < 2:
            raise ValueError("Expected more than 1 value per channel")
        return self.fc(last)


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(WIDTH, 8, batch_first=True)
        self.fc = nn.Linear(8, CLASSES)

    @override
    def forward(self, *, values: torch.Tensor, length: torch.Tensor) -> Any:
        return self.fc(self.rnn(values)[0].sum(dim=1) / length[:, None])


def named(raw: NDArray[Any]) -> dict[str, torch.Tensor]:
    return {"values": torch.from_numpy(raw), "length": torch.full((len(raw),), 5.0)}


def task_of(model: Model = Net, **options: Option) -> Task:
    return Task(classes=["a", "b", "c"], model=model, **options)


def scenario_of(settings: dict[str, Scalar] | None = None) -> Scenario:
    return Scenario().with_values({"fleet.devices": 2, **(settings or {})})


# Reads everything: features, the last update, a committee, a sample of the pool.
GREEDY: dict[str, Scalar] = {"ask.scorer": "bald*typicality", "ask.batcher": "logo"}


@pytest.mark.parametrize(
    "model",
    [Net, ByKeyword, OnRows, Reused, InADict, InAnObject, Half],
    ids=lambda model: model.__name__,
)
@pytest.mark.parametrize("settings", [{}, GREEDY], ids=["default", "greedy"])
def test_a_model_that_works_passes(model: Model, settings: dict[str, Scalar]) -> None:
    try_rounds(task_of(model), scenario_of(settings), SAMPLES)


def test_a_model_of_bfloat16_passes() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(STEPS * WIDTH, CLASSES)).bfloat16()

    task = task_of(model, transform=lambda raw: torch.from_numpy(raw).bfloat16())

    for settings in ({}, GREEDY):
        try_rounds(task, scenario_of(settings), SAMPLES)


def test_inputs_by_name_pass_whatever_reads_them() -> None:
    task = task_of(Named, transform=named)

    several: list[dict[str, Scalar]]
    several = [{}, GREEDY, {"ask.near": 0.9}, {"ask.groups": "cells"}]
    for settings in several:
        try_rounds(task, scenario_of(settings), SAMPLES)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (OnRowsMixed, r"the features of a sample change with the samples beside it"),
        (
            TimeFirst,
            r"the model's layer 'fc' takes \(5, 1, 8\) for 1|takes \(5, 12, 8\)",
        ),
        (InATuple, "the model gives tuple, must give a tensor of logits .* 'logits'"),
        (Squeezed, r"IndexError|the model gives \(3,\) for 1 samples"),
        (
            Normed,
            r"float32 \(1, 5, 4\), fails: ValueError: Expected more .*trial.py:\d",
        ),
        (lambda: nn.Linear(9, 3), r"RuntimeError: mat1 and mat2 .*test_trial.py:\d+"),
        (lambda: 1 / 0, r"task's model fails: ZeroDivisionError.*test_trial.py:\d+"),
    ],
)
def test_a_model_that_would_fail_in_a_round_fails_now(model: Model, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        try_rounds(task_of(model), scenario_of(GREEDY), SAMPLES)


class Torn:
    """A scorer that gives what numpy cannot read."""

    name = "torn"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, view: PredictionView, context: ScoringContext) -> torch.Tensor:
        assert len(context.counts)
        return torch.from_numpy(view.probs.copy()).requires_grad_().max(dim=1).values


class Careless:
    """A batcher that picks rows that are not there."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def pick(self, shortlist: Shortlist, k: int, rng: object) -> NDArray[np.int64]:
        assert rng
        return np.arange(len(shortlist.scores), len(shortlist.scores) + k)


def no_loss(logits: torch.Tensor, targets: torch.Tensor) -> float:
    return float((logits.argmax(dim=1) != targets).float().mean())


def flat_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(dim=1) != targets).float().mean()


def unlike(raw: NDArray[Any]) -> torch.Tensor:
    if len(raw) > 3:
        raise KeyError("unit")
    return torch.from_numpy(raw)


def no_cost(raw: NDArray[Any]) -> torch.Tensor:
    return torch.ones(len(raw), requires_grad=True)


@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        ({}, {"ask.scorer": f"{__name__}:Torn"}, "scorer 'torn' fails: RuntimeError"),
        ({}, {"ask.batcher": f"{__name__}:Careless"}, "the batcher fails: IndexError"),
        ({}, {"ask.scorer": "cheap", "ask.cost": f"{__name__}:no_cost"}, "ask.cost, "),
        ({"loss": no_loss}, {}, r"the task's loss gives float.*test_trial.py:\d+"),
        ({"loss": flat_loss}, {}, "training the task's model fails: RuntimeError"),
        ({"transform": unlike}, {}, r"transform fails: KeyError: 'unit'.*trial.py:\d+"),
        ({"transform": lambda raw: raw}, {}, "transform gives ndarray"),
        ({"augment": lambda x, _: x.T}, {"train.warmup": 1}, "augment"),
    ],
)
def test_what_else_is_the_users_own_fails_now(
    options: dict[str, Option], settings: dict[str, Scalar], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        try_rounds(task_of(**options), scenario_of(settings), SAMPLES)


def test_the_trial_changes_no_random_numbers_of_the_run() -> None:
    before = torch.random.get_rng_state()

    try_rounds(task_of(), scenario_of(), SAMPLES)

    assert torch.equal(torch.random.get_rng_state(), before)
