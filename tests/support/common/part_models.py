"""Models of which most never changes, and data for them."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from fedask.common.task import Task

FEATURES, CLASSES = 9, ("red", "green", "blue")


def samples() -> "tuple[NDArray[np.float32], NDArray[np.int64]]":
    """Return 120 samples of three classes."""
    rng = np.random.default_rng(3)
    truth = np.arange(120) % 3
    found = np.eye(FEATURES)[truth] * 2 + rng.normal(size=(120, FEATURES))
    return found.astype(np.float32), truth


def frozen() -> nn.Module:
    """A frozen encoder under a head: 240,003 values, 60,003 of them trained."""
    encoder = nn.Linear(FEATURES, 20_000, bias=False)
    encoder.requires_grad_(requires_grad=False)
    return nn.Sequential(encoder, nn.ReLU(), nn.Linear(20_000, 3))


class Adapted(nn.Module):
    """A frozen linear layer with a trained low-rank path beside it (LoRA)."""

    def __init__(self, inside: int, outside: int, rank: int) -> None:
        super().__init__()
        self.base = nn.Linear(inside, outside)
        self.base.requires_grad_(requires_grad=False)
        self.down = nn.Linear(inside, rank, bias=False)
        self.up = nn.Linear(rank, outside, bias=False)
        nn.init.zeros_(self.up.weight)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + self.up(self.down(x))
        return out


def adapters() -> nn.Module:
    """Low-rank adapters: of 266,412 values 2,892 are trained, 1.1 %."""
    return nn.Sequential(
        Adapted(FEATURES, 360, 1),
        nn.ReLU(),
        Adapted(360, 360, 1),
        nn.ReLU(),
        Adapted(360, 360, 1),
        nn.ReLU(),
        nn.Linear(360, 3),
    )


class Tied(nn.Module):
    """One weight in two places, a table of positions, a mask: 9,030 values, 27 move."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Linear(FEATURES, 3, bias=False)
        self.decode = nn.Linear(FEATURES, 3, bias=False)
        self.decode.weight = self.code.weight
        self.table: torch.Tensor
        self.register_buffer("table", torch.arange(9_000.0).reshape(1_000, 9).sin())
        self.register_buffer("mask", torch.tensor([0.0, 0.0, -math.inf]))

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.table[0]
        out: torch.Tensor = self.code(x) + self.decode(x).tanh()
        return out


class Normed(nn.Module):
    """Batch norms: one that learns statistics, one that was frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.still = nn.BatchNorm1d(FEATURES)
        self.still.eval().requires_grad_(requires_grad=False)
        self.moving = nn.BatchNorm1d(FEATURES)
        self.head = nn.Linear(FEATURES, 3)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.moving(self.still(x)))
        return out


def _task(model: object) -> Task:
    return Task(classes=CLASSES, model=model, input_shape=(FEATURES,))  # type: ignore[arg-type]


FROZEN, ADAPTERS, TIED, NORMED = map(_task, (frozen, adapters, Tied, Normed))
