from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.support.client.zoo import SIDE, ZOO, FrozenByTrain, Remembering
from torch import nn
from typing_extensions import override

from fedask.client.learning.training.module_keeper import ModuleKeeper
from fedask.common.errors import ConfigError
from fedask.common.inputs import logits_of

SAMPLES = torch.randn(6, SIDE, generator=torch.Generator().manual_seed(1))


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("name", ZOO)
def test_a_module_is_as_it_was_built_after_any_use(name: str) -> None:
    torch.manual_seed(0)
    model = ZOO[name]()
    keeper = ModuleKeeper(model)
    built = keeper.copies()

    def answers() -> tuple[torch.Tensor, ...]:
        """What it says in training, twice, and of samples that it scores."""
        keeper.restore(built)
        keeper.train()
        torch.manual_seed(2)
        said = logits_of(model, SAMPLES), logits_of(model, SAMPLES)
        keeper.eval()
        with torch.inference_mode():
            return (*said, logits_of(model, SAMPLES))

    for first, again in zip(answers(), answers(), strict=True):
        assert torch.equal(first, again)
    keeper.restore(built)
    for array, now in zip(built.values(), keeper.read().values(), strict=True):
        np.testing.assert_array_equal(array, now)
    assert not keeper.touched


def test_each_module_trains_in_the_mode_it_was_built_in() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[0].eval()
    keeper = ModuleKeeper(model)
    keeper.eval()
    assert modes(model) == [False] * 3
    keeper.train()
    assert modes(model) == [True, False, True]


def test_a_part_that_its_own_train_freezes_is_frozen_from_the_start() -> None:
    model = FrozenByTrain()
    keeper = ModuleKeeper(model)
    keeper.train()
    assert model.training
    assert not model.norm.training
    assert not keeper.touched


class Merging(nn.Module):
    """Merges its correction into the weight for scoring, as some LoRA layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(SIDE, 4)
        self.up = nn.Parameter(torch.full((4, SIDE), 0.3))
        self.merged = False

    @override
    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if mode == self.merged:
            sign = -1 if mode else 1
            self.base.weight.data += sign * self.up.data
            self.merged = not mode
        return self

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x)
        return out if self.merged else out + x @ self.up.T


def test_a_mode_that_changes_weights_is_set_without_its_side_effects() -> None:
    model = Merging()
    keeper = ModuleKeeper(model)
    built = keeper.copies()
    keeper.eval()
    keeper.train()
    keeper.eval()
    assert not model.merged
    for array, now in zip(built.values(), keeper.read().values(), strict=True):
        np.testing.assert_array_equal(array, now)


def test_it_sees_what_changed_and_remembers_that_a_module_is_restless() -> None:
    quiet = ModuleKeeper(ZOO["batch_norm"]())
    assert not quiet.touched
    model = Remembering()
    restless = ModuleKeeper(model)
    built = restless.copies()
    model(SAMPLES)
    assert restless.touched
    restless.restore(built)
    assert restless.restless
    assert (model.calls, model.seen) == (0, [])
    assert not model.level.any()
    assert not model.cache.any()
    assert not quiet.restless


def new_module(model: nn.Module) -> None:
    model.extra = nn.Linear(2, 2)


def new_parameter(model: nn.Module) -> None:
    model.extra = nn.Parameter(torch.ones(1))


def late_buffer(model: nn.Module) -> None:
    model.late = torch.ones(1)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (new_module, "extra.weight"),
        (new_parameter, "extra"),
        (late_buffer, "late"),
    ],
)
def test_an_array_that_appears_while_it_runs_is_refused_and_then_forgotten(
    change: Callable[[nn.Module], None], name: str
) -> None:
    model = nn.Linear(2, 2)
    model.register_buffer("late", None)
    keeper = ModuleKeeper(model)
    built = keeper.copies()
    change(model)
    with pytest.raises(ConfigError, match=f"the model made '{name}' while it ran"):
        keeper.read()
    keeper.restore(built)
    assert set(keeper.read()) == {"weight", "bias"}
    assert not hasattr(model, "extra")
