"""The model on the device: load, train, predict. Called by the device; knows no store.

One learner serves one device at a time; in a simulation all devices of a process share
it, since a model's weights arrive with every message anyway.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fedask.common.config import TrainConfig
from fedask.common.errors import ProtocolError
from fedask.common.ids import stable_seed
from fedask.common.model import FeatureTap, check_logits
from fedask.common.task import Task
from fedask.common.weights import Arrays, ArraySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The labelled samples of a device, ready for training.

    Parameters
    ----------
    inputs
        (n, ...) float, already transformed.
    targets
        (n,) int64 class indices.
    shift
        (c,) float added to every row of logits while training; None = nothing.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    shift: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one round of training needs besides the model.

    Parameters
    ----------
    labelled
        The samples.
    lr
        Learning rate of this round.
    prox
        Weight of the FedProx term.
    stream
        Names the random stream that orders the batches, where there are several.
    """

    labelled: Labelled
    lr: float
    prox: float
    stream: tuple[str | int, ...]


def decayed(lr: float, step: int, rounds: int) -> float:
    """Return the learning rate of round ``step`` of a cycle: half a cosine.

    References
    ----------
    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5.
    """
    return lr * 0.5 * (1.0 + cos(pi * min(step, rounds - 1) / rounds))


class Learner:
    """A model of the task with its training step.

    Parameters
    ----------
    task
        What is learned.
    config
        How. ``threads`` is applied to torch for the whole process.
    """

    def __init__(self, task: Task, config: TrainConfig) -> None:
        torch.set_num_threads(config.threads)
        self._task = task
        self._config = config
        self._model = task.build(seed=0)  # only its shapes matter
        self._params: list[torch.Tensor] = [
            p for p in self._model.parameters() if p.requires_grad
        ]
        # Views of the same memory: copying through them skips torch's dispatch.
        state = self._model.state_dict()
        self._views = {name: tensor.detach().numpy() for name, tensor in state.items()}
        self.spec = ArraySpec.of(self._views)
        self._tap: FeatureTap | None = None

    def load(self, arrays: Arrays) -> None:
        """Take over a model's arrays, checked before by ``spec.read``."""
        for name, view in self._views.items():
            np.copyto(view, arrays[name])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of the model's arrays, by state-dict name."""
        return {name: view.copy() for name, view in self._views.items()}

    def train(self, lesson: Lesson) -> float:
        """Run ``config.steps`` steps of SGD.

        Returns
        -------
        float
            Loss of the last batch, without the proximal term; not finite if training
            diverged.

        Raises
        ------
        ConfigError
            If the model's output does not fit the classes.
        """
        labelled = lesson.labelled
        anchors = [p.detach().clone() for p in self._params] if lesson.prox else []
        velocity: list[torch.Tensor] | None = None
        if not self._model.training:
            self._model.train()
        loss = labelled.targets  # replaced by the first of at least one step
        for rows in self._batches(lesson):
            inputs = labelled.inputs if rows is None else labelled.inputs[rows]
            targets = labelled.targets if rows is None else labelled.targets[rows]
            logits = self._model(inputs)
            check_logits(logits, len(targets), self._task.num_classes)
            if labelled.shift is not None:
                logits = logits + labelled.shift
            loss = self._loss(logits, targets)
            # Zeros for a layer that the output does not use.
            grads = torch.autograd.grad(loss, self._params, materialize_grads=True)
            with torch.no_grad():
                velocity = self._step(list(grads), velocity, anchors, lesson)
        return float(loss.detach())

    def _step(
        self,
        grads: list[torch.Tensor],
        velocity: list[torch.Tensor] | None,
        anchors: list[torch.Tensor],
        lesson: Lesson,
    ) -> list[torch.Tensor]:
        """One SGD step in place; returns the momentum buffers.

        The same arithmetic as ``torch.optim.SGD`` (a test holds them equal), without
        making an optimiser per device and round, which costs more than a small step.
        """
        config = self._config
        if config.weight_decay:
            torch._foreach_add_(grads, self._params, alpha=config.weight_decay)
        if anchors:
            drift = torch._foreach_sub(self._params, anchors)  # noqa: SLF001
            torch._foreach_add_(grads, drift, alpha=lesson.prox)
        if config.momentum == 0.0 or velocity is None:
            velocity = grads
        else:
            torch._foreach_mul_(velocity, config.momentum)
            torch._foreach_add_(velocity, grads)
        torch._foreach_add_(self._params, velocity, alpha=-lesson.lr)
        return velocity

    def _batches(self, lesson: Lesson) -> Iterator[torch.Tensor | None]:
        """Yield rows of each step; None = all of them, when one batch holds them."""
        count, size = len(lesson.labelled.targets), self._config.batch_size
        if count <= size:
            for _ in range(self._config.steps):
                yield None
            return
        rng = np.random.default_rng(stable_seed(*lesson.stream))
        order = np.zeros(0, dtype=np.int64)
        for _ in range(self._config.steps):
            if len(order) < size:
                order = np.concatenate([order, rng.permutation(count)])
            yield torch.from_numpy(order[:size])
            order = order[size:]

    def _shift(self, targets: torch.Tensor) -> torch.Tensor | None:
        """Return tau * log(1 + class counts of the device), (c,).

        A device sees few classes; without the shift its update unlearns the others.

        References
        ----------
        Ren et al., "Balanced meta-softmax", NeurIPS 2020, equation 3; per device as in
        Cao et al., "Knowledge-aware federated active learning", ICCV 2023, where the
        log of an absent class is minus infinity; adding one keeps it finite.
        """
        tau = self._config.logit_shift
        if tau == 0.0:
            return None
        counts = torch.bincount(targets, minlength=self._task.num_classes).float()
        return tau * torch.log1p(counts)

    def _loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self._task.loss is not None:
            return self._task.loss(logits, targets)
        return functional.cross_entropy(logits, targets)

    def predict(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return class probabilities of a raw batch: (n, c) float32.

        Raises
        ------
        ConfigError
            If the model's output does not fit the classes.
        ProtocolError
            If the model gives NaN or infinity.
        """
        self._model.eval()
        with torch.inference_mode():
            logits = self._model(self._task.to_inputs(raw))
        return self._probs(logits, len(raw))

    def look(
        self, raw: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities (n, c) and penultimate features (n, d) of a batch."""
        inputs = self._task.to_inputs(raw)
        if self._tap is None:
            self._tap = FeatureTap(self._model, inputs)
        logits, features = self._tap.read(inputs)
        return self._probs(logits, len(raw)), features.float().numpy()

    def _probs(self, logits: torch.Tensor, count: int) -> NDArray[np.float32]:
        check_logits(logits, count, self._task.num_classes)
        probs: NDArray[np.float32] = functional.softmax(logits.float(), dim=1).numpy()
        if not np.isfinite(probs).all():
            msg = "the global model gives NaN or infinity"
            raise ProtocolError(msg)
        return probs

    def prepare(self, raw: NDArray[Any], labels: Sequence[int]) -> Labelled:
        """Turn labelled raw samples into what training takes."""
        targets = torch.tensor(labels, dtype=torch.int64)
        return Labelled(
            inputs=self._task.to_inputs(raw),
            targets=targets,
            shift=self._shift(targets),
        )
