"""The parts of a training step: jobs, batches, loss, SGD.

Called by the learner for one device and by the cohort for many; both do the same
arithmetic because both do it here. Knows neither model nor store.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fedask.common.errors import ConfigError
from fedask.common.ids import stable_seed
from fedask.common.inputs import Inputs
from fedask.common.sections import TrainConfig
from fedask.common.task import Task
from fedask.common.user_code import defined_at, user_code


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledBatch:
    """The labelled samples of a device, ready for training.

    Parameters
    ----------
    inputs
        (n, ...) each, already transformed.
    targets
        (n,) int64 class indices.
    shift
        (c,) float added to every row of logits while training; None = nothing.
    weights
        (n,) float in (0, 1], what each sample weighs in the loss; None = all alike.
    """

    inputs: Inputs
    targets: torch.Tensor
    shift: torch.Tensor | None
    weights: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What one round of training needs besides the model.

    Parameters
    ----------
    lr
        Learning rate of this round.
    prox
        Weight of the FedProx term.
    stream
        Names the random stream of this round: the order of batches, and dropout.
    """

    labelled: LabelledBatch
    lr: float
    prox: float
    stream: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupJob:
    """What one round of warm-up needs: it has no labels and trains the encoder alone.

    Parameters
    ----------
    inputs
        (n, ...) of at least two samples, already transformed.
    lr, prox, stream
        As of a ``TrainingJob``; the stream also decides the views.
    """

    inputs: Inputs
    lr: float
    prox: float
    stream: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the server could do nothing with the result of a training.

    Parameters
    ----------
    reason
        ``records.DIVERGED`` or ``records.UNFIT``.
    array
        The first array that it shows in; "" if in none.
    """

    reason: str
    array: str


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training job.

    Parameters
    ----------
    arrays
        The model's arrays after it, by name in the manifest.
    loss
        Of the last batch, without the proximal term.
    unchanged
        Names of those that are no update: constants, and what did not move of
        statistics and counters.
    fault
        None if the server takes the result.
    """

    arrays: Mapping[str, NDArray[Any]]
    loss: float
    unchanged: frozenset[str] = frozenset()
    fault: Fault | None = None

    @property
    def usable(self) -> bool:
        """Whether the server takes the result."""
        return self.fault is None

    @property
    def update(self) -> dict[str, NDArray[Any]]:
        """What a device sends of it."""
        return {n: a for n, a in self.arrays.items() if n not in self.unchanged}


def decayed(lr: float, step: int, rounds: int) -> float:
    """Return the learning rate of round ``step`` of a cycle: half a cosine.

    References
    ----------
    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5.

    Examples
    --------
    >>> [round(decayed(1.0, step, rounds=4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """
    return lr * 0.5 * (1.0 + cos(pi * min(step, rounds - 1) / rounds))


def batches(
    count: int, size: int, steps: int, stream: tuple[str | int, ...]
) -> Iterator[torch.Tensor | None]:
    """Yield rows of each step; None = all of them, when one batch holds them.

    Parameters
    ----------
    count, size
        Samples there are, and samples in a batch.
    stream
        Names the random stream that orders them.
    """
    if count <= size:
        for _ in range(steps):
            yield None
        return
    rng = np.random.default_rng(stable_seed(*stream))
    order = np.zeros(0, dtype=np.int64)
    for _ in range(steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(count)])
        yield torch.from_numpy(order[:size])
        order = order[size:]


class MomentumSgd:
    """SGD with momentum, in place.

    The same arithmetic as ``torch.optim.SGD`` (a test holds them equal), without making
    an optimiser per device and round, which costs more than a small step. Every
    operation is element by element, so stacked parameters of many devices move as each
    would alone.

    Parameters
    ----------
    params
        Changed in place.
    config
        ``momentum`` and ``weight_decay`` are used.
    prox
        Weight of the pull back to where the parameters are now; 0 = none.
    """

    def __init__(
        self, params: list[torch.Tensor], config: TrainConfig, lr: float, prox: float
    ) -> None:
        self._params = params
        self._config = config
        self._lr = lr
        self._prox = prox
        self._anchors = [p.detach().clone() for p in params] if prox else []
        self._velocity: list[torch.Tensor] | None = None

    @torch.no_grad()
    def step(self, grads: list[torch.Tensor]) -> None:
        """Take one step; the gradients are used up."""
        config = self._config
        if config.weight_decay:
            torch._foreach_add_(grads, self._params, alpha=config.weight_decay)
        if self._anchors:
            drift = torch._foreach_sub(self._params, self._anchors)  # noqa: SLF001  (no public name)
            torch._foreach_add_(grads, drift, alpha=self._prox)
        if config.momentum == 0.0 or self._velocity is None:
            self._velocity = grads
        else:
            torch._foreach_mul_(self._velocity, config.momentum)
            torch._foreach_add_(self._velocity, grads)
        torch._foreach_add_(self._params, self._velocity, alpha=-self._lr)


class Loss:
    """The loss that training minimises.

    Parameters
    ----------
    task
        Its loss, or cross entropy.
    tau
        Of the shift; 0 for none.
    """

    def __init__(self, task: Task, tau: float) -> None:
        self._given = task.loss
        self._classes = task.num_classes
        self._tau = tau

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the mean loss of a batch.

        Parameters
        ----------
        logits
            (n, c).
        targets
            (n,) class indices.
        weights
            (n,) what each sample weighs; None: all the same.

        Raises
        ------
        ConfigError
            If the task's loss fails, or gives no number.
        """
        if weights is None and self._given is not None:
            return self._own(logits, targets)
        if self._given is None:
            # Summed apart from the entropies: their own kernel adds in another order
            # when it is vectorised. The gradient is the same either way.
            losses = functional.cross_entropy(logits, targets, reduction="none")
        else:  # a user's own tells the loss of a batch: one sample makes one
            pairs = zip(logits[:, None], targets[:, None], strict=True)
            losses = torch.stack([self._own(*pair) for pair in pairs])
        if weights is None:
            return losses.mean()
        # In float64, where the order of adding does not reach the bits that are kept.
        shares = weights / weights.double().sum().float()
        return (losses * shares).double().sum().float()

    def _own(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Call the user's own loss; it must give a scalar."""
        with user_code("the task's loss", self._given):
            loss: Any = self._given and self._given(logits, targets)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            shape = getattr(loss, "shape", None)
            given = type(loss).__name__ if shape is None else f"shape {tuple(shape)}"
            raise ConfigError(
                f"the task's loss gives {given}, must give the mean loss of the batch: "
                f"a tensor of one number ({defined_at(self._given)})"
            )
        return loss.reshape(())

    def shift(
        self, targets: torch.Tensor, weights: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Return tau * log(1 + class counts of the device), (c,), to add to logits.

        A device sees few classes; without the shift its update unlearns the others.

        References
        ----------
        Ren et al., "Balanced meta-softmax", NeurIPS 2020, equation 3; per device as in
        Cao et al., "Knowledge-aware federated active learning", ICCV 2023, where the
        log of an absent class is minus infinity; adding one keeps it finite.
        """
        if self._tau == 0.0:
            return None
        counts = torch.bincount(targets, weights, self._classes).float()
        return self._tau * torch.log1p(counts)
