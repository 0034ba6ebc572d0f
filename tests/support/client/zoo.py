"""Models that are hard to carry from device to device, for tests and benchmarks.

Each takes (n, 16) floats and has 10 classes, as have the ``samples``.
"""

from collections.abc import Callable
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from typing_extensions import override

from fedask.common.config import Scenario
from fedask.simulations.data.datasets import Dataset

SIDE, CLASSES = 16, 10


class Frozen(nn.Module):
    """A part in eval mode, as it was built: its statistics stand still."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(SIDE).eval()
        self.body = nn.Sequential(nn.Linear(SIDE, 24), nn.BatchNorm1d(24), nn.ReLU())
        self.head = nn.Linear(24, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(self.norm(x)))
        return logits


class FrozenByTrain(Frozen):
    """A part that its own ``train()`` keeps in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm.train()

    @override
    def train(self, mode: bool = True) -> "FrozenByTrain":
        super().train(mode)
        self.norm.eval()
        return self


class Tied(nn.Module):
    """Two layers with one weight, and an embedding tied to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(SIDE, SIDE)
        self.two = nn.Linear(SIDE, SIDE)
        self.two.weight = self.one.weight
        self.head = nn.Linear(SIDE, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.two(functional.relu(self.one(x))))
        return logits


class Counting(nn.Module):
    """Counters beyond 65,536, flags, a mask of minus infinity, a mask of booleans."""

    steps: torch.Tensor
    ready: torch.Tensor
    allowed: torch.Tensor
    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(SIDE, CLASSES)
        self.norm = nn.BatchNorm1d(SIDE, momentum=None)
        self.register_buffer("steps", torch.tensor([70_000, 2**40]))
        self.register_buffer("ready", torch.tensor(data=False))
        self.register_buffer("allowed", torch.ones(SIDE, dtype=torch.bool))
        mask = torch.zeros(CLASSES)
        mask[CLASSES - 1] = -inf  # no sample is of it
        self.register_buffer("mask", mask)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += len(x)
            self.ready.fill_(value=True)
        logits: torch.Tensor = self.body(self.norm(x) * self.allowed) + self.mask * 0.5
        return logits.nan_to_num(neginf=-1e4)


class Replaced(nn.Module):
    """A running mean that is a new tensor each time, as many write it."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SIDE))
        self.head = nn.Linear(SIDE, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        logits: torch.Tensor = self.head(x - self.mean)
        return logits


class Clamped(nn.Module):
    """Weights that are clamped through ``.data``: a new tensor, or in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(SIDE, 64)
        self.head = nn.Linear(64, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.one.weight.data = self.one.weight.data.clamp(-0.2, 0.2)
        self.head.weight.data.clamp_(-0.15, 0.15)
        logits: torch.Tensor = self.head(functional.relu(self.one(x)))
        return logits


class NewParameter(nn.Module):
    """A parameter that ``forward`` makes anew."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(SIDE))
        self.head = nn.Linear(SIDE, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.scale = nn.Parameter(self.scale.detach().clamp(0.5, 1.05))
        logits: torch.Tensor = self.head(x * self.scale)
        return logits


class Remembering(nn.Module):
    """State in plain attributes, a list, and a buffer that is not persistent."""

    cache: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.level = torch.zeros(SIDE)
        self.seen: list[int] = []
        self.register_buffer("cache", torch.zeros(SIDE), persistent=False)
        self.head = nn.Linear(SIDE, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen.append(len(x))
        self.cache.mul_(0.5).add_(x.detach().mean(0))
        self.level = self.level + x.detach().mean(0) / len(self.seen)
        logits: torch.Tensor = self.head(x - self.cache + self.level / self.calls)
        return logits


class LowRank(nn.Module):
    """A frozen layer with a trained correction of low rank, as LoRA has it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(SIDE, 256).requires_grad_(requires_grad=False)
        self.down = nn.Parameter(torch.randn(SIDE, 2) * 0.1)
        self.up = nn.Parameter(torch.zeros(2, 256))
        self.head = nn.Linear(256, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(
            functional.relu(self.base(x) + x @ self.down @ self.up)
        )
        return logits


class Recurrent(nn.Module):
    """An LSTM over four steps of four values."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 12, batch_first=True)
        self.head = nn.Linear(12, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(x.reshape(len(x), 4, 4))
        logits: torch.Tensor = self.head(states[:, -1])
        return logits


class Quantising(nn.Module):
    """A codebook that moves by averages of its own, with sizes of its cells."""

    book: torch.Tensor
    sizes: torch.Tensor
    place: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("book", torch.randn(8, SIDE))
        self.register_buffer("sizes", torch.ones(8))
        self.register_buffer("place", torch.zeros((), dtype=torch.int32))
        self.head = nn.Linear(SIDE, CLASSES)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nearest = torch.cdist(x, self.book).argmin(1)
        if self.training:
            hits = functional.one_hot(nearest, 8).float()
            self.sizes.mul_(0.9).add_(hits.sum(0), alpha=0.1)
            self.book += 0.1 * (hits.T @ x - hits.sum(0)[:, None] * self.book)
            self.place.add_(len(x)).remainder_(13)
        logits: torch.Tensor = self.head(x + self.book[nearest])
        return logits


def perceptron(*extra: nn.Module) -> nn.Module:
    """Two layers, and what stands between them."""
    return nn.Sequential(nn.Linear(SIDE, 64), *extra, nn.ReLU(), nn.Linear(64, CLASSES))


def batch_norm() -> nn.Module:
    """A perceptron with running statistics."""
    return perceptron(nn.BatchNorm1d(64))


def dropout() -> nn.Module:
    """A perceptron that draws while it trains."""
    return perceptron(nn.Dropout(0.3))


def spectral_norm() -> nn.Module:
    """A layer whose parametrisation moves two buffers of its own."""
    layer = parametrizations.spectral_norm(nn.Linear(SIDE, 32))
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(32, CLASSES))


def weight_norm() -> nn.Module:
    """A layer with length and direction of its weight apart."""
    layer = parametrizations.weight_norm(nn.Linear(SIDE, 32))
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(32, CLASSES))


class Half(nn.Module):
    """Weights of bfloat16, which numpy lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = perceptron().to(torch.bfloat16)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(x.to(torch.bfloat16))
        return logits


class Named(nn.Module):
    """An output by name, as transformers give it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = perceptron()

    @override
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.body(x)}


def compiled() -> nn.Module:
    """A compiled perceptron with running statistics."""
    made: nn.Module = torch.compile(batch_norm())  # type: ignore[assignment]
    return made


_MODELS: tuple[Callable[[], nn.Module], ...] = (
    perceptron,
    Frozen,
    FrozenByTrain,
    Tied,
    batch_norm,
    Counting,
    Replaced,
    Clamped,
    NewParameter,
    Remembering,
    LowRank,
    Recurrent,
    Quantising,
    dropout,
    Half,
    Named,
    spectral_norm,
    weight_norm,
)
ZOO = {model.__name__: model for model in _MODELS}
TELLING = ("Frozen", "Replaced", "Counting", "Remembering", "Half")


def samples() -> Dataset:
    """Return noisy clusters: (600, 16) float32; none is of the last class."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, SIDE)).astype(np.float32)

    def draw(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        labels = np.arange(count, dtype=np.int64) % (CLASSES - 1)
        noise = rng.normal(0, 0.7, (count, SIDE)).astype(np.float32)
        return centres[labels] + noise, labels

    (train_x, train_y), (test_x, test_y) = draw(600), draw(200)
    return Dataset(
        name="clusters",
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        classes=tuple(str(number) for number in range(CLASSES)),
    )


def scenario(model: str, *, devices: int = 6, rounds: int = 1) -> Scenario:
    """Return a run of two cycles with a model of this module."""
    return Scenario().with_values(
        {
            "name": model,
            "task.model": f"{__name__}:{model}",
            "data.source": f"{__name__}:samples",
            "fleet.devices": devices,
            "fleet.partition": "iid",
            "ask.initial": 10,
            "ask.cycles": 2,
            "ask.quota": 2 * devices,
            "ask.batcher": "top",
            "train.rounds": rounds,
            "train.steps": 3,
            "train.batch_size": 8,
            "train.lr": 0.1,
        }
    )
