"""Trains the models of many devices as one batched computation.

Called by the learner when several devices of one process train on the same model, as
the devices of an inline simulation do. A small step costs a framework far more than a
processor: stacked along a new axis, a hundred of them cost little more than one.

A device must learn the same by itself and with others, to the last bit, or a simulation
would not be what a deployment does. Nothing guarantees that: the last bits of a matrix
product depend on sizes and on how the operands lie in memory. So it is not assumed: the
first jobs of each kind are also trained alone, and where one bit differs, jobs of that
kind are trained one by one. Layers whose sizes are multiples of 16 usually pass.
"""

import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from fedask.client.learning.training.module_keeper import ModuleKeeper
from fedask.client.learning.training.training_step import (
    Fault,
    Loss,
    MomentumSgd,
    TrainingJob,
    TrainingResult,
    batches,
)
from fedask.common.arrays import MAX_VALUE
from fedask.common.inputs import logits_of
from fedask.common.manifest import ArrayKind
from fedask.common.model import check_logits
from fedask.common.records import DIVERGED, UNFIT
from fedask.common.sections import TrainConfig

_FEWEST = 6  # below, stacking costs more than it saves
_MOST = 256  # above, nothing more is saved
_MOST_BYTES = 64 * 2**20  # of stacked models: weights, gradients and momenta each
_EVIDENCE = 10_000  # equal values that prove a kind of job

logger = logging.getLogger(__name__)


class Cohort:
    """Vectorised training of one model from one starting point.

    Parameters
    ----------
    model, keeper
        The model; its weights are where all jobs begin. Not changed.
    loss
        Maps logits (n, c), targets (n,) and weights (n,) or None to a scalar.

    Attributes
    ----------
    most
        Jobs worth giving at once; 1 = this model is trained one by one.
    """

    def __init__(
        self,
        model: nn.Module,
        keeper: ModuleKeeper,
        loss: Loss,
        config: TrainConfig,
        num_classes: int,
    ) -> None:
        self._model = model
        self._keeper = keeper
        self._loss = loss
        self._config = config
        self._num_classes = num_classes
        self._names = keeper.manifest.names(ArrayKind.PARAMETER)
        self._params = keeper.parameters()
        self._constants = frozenset(keeper.manifest.names(ArrayKind.CONSTANT))
        self._size = max(1, sum(p.numel() for p in self._params))
        size = sum(p.nbytes for p in self._params)
        self.most = min(_MOST, max(1, _MOST_BYTES // max(1, size)))
        # What a layer notes in a buffer while it trains belongs to one device.
        if not self._params or next(model.buffers(), None) is not None:
            self.most = 1
        self._proved: dict[tuple[object, ...], bool] = {}  # by what decides the kernels

    def train(
        self,
        jobs: Sequence[TrainingJob],
        alone: Callable[[TrainingJob], TrainingResult],
    ) -> Mapping[int, TrainingResult]:
        """Train together the jobs of which there are enough of one kind.

        Parameters
        ----------
        jobs
            Any number; those of equally many samples are trained together.
        alone
            Trains one job, from the same weights: the truth.

        Returns
        -------
        Mapping
            Index of a job to its result. Jobs left out are to be trained one by one.
        """
        groups: dict[tuple[float, ...], list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            if not isinstance(job.labelled.inputs, torch.Tensor):
                continue  # several tensors by name are not stacked
            shifted = job.labelled.shift is not None
            weighed = job.labelled.weights is not None
            shape = _tensor(job).shape
            groups[*shape, job.lr, job.prox, shifted, weighed].append(index)
        results: dict[int, TrainingResult] = {}
        for members in groups.values():
            enough = max(_FEWEST, _EVIDENCE // self._size)
            if self.most > 1 and len(members) >= enough:
                trained = self._try([jobs[i] for i in members], alone)
                results.update(zip(members, trained, strict=False))
        return results

    def _try(
        self,
        jobs: Sequence[TrainingJob],
        alone: Callable[[TrainingJob], TrainingResult],
    ) -> list[TrainingResult]:
        """Train the jobs together if that gives the same bits; else return []."""
        last = jobs[-1].labelled
        extras = last.shift is None, last.weights is None, jobs[-1].prox > 0
        kind = (len(jobs), _tensor(jobs[-1]).shape, *extras)
        if self._keeper.restless:  # so does what it notes elsewhere
            self.most = 1
        if self.most == 1 or not self._proved.get(kind, True):
            return []
        try:
            with warnings.catch_warnings():
                # A layer that torch can only loop over: nothing is won together.
                warnings.filterwarnings("error", ".*batching rule", UserWarning)
                trained = self._together(jobs)
        except Exception as err:  # noqa: BLE001  (whatever a user's model cannot do)
            logger.info("devices train one by one: %s", err)
            self.most = 1
            return []
        if kind not in self._proved:
            self._proved[kind] = all(
                _same(one, alone(job)) for one, job in zip(trained, jobs, strict=True)
            )
            if self._keeper.restless:  # as training alone has shown
                return []
        return trained if self._proved[kind] else []

    def _together(self, jobs: Sequence[TrainingJob]) -> list[TrainingResult]:
        first = jobs[0]
        inputs = torch.stack([_tensor(job) for job in jobs])
        targets = torch.stack([job.labelled.targets for job in jobs])
        shift = _stacked([job.labelled.shift for job in jobs])
        weights = _stacked([job.labelled.weights for job in jobs])
        axes = tuple(None if given is None else 0 for given in (shift, weights))
        gradients = vmap(grad_and_value(self._loss_of), in_dims=(0, 0, 0, *axes))
        params = [p.detach().expand(len(jobs), *p.shape).clone() for p in self._params]
        descent = MomentumSgd(params, self._config, first.lr, first.prox)
        device = torch.arange(len(jobs))[:, None]
        losses = torch.zeros(len(jobs))
        self._keeper.train()
        size, steps = self._config.batch_size, self._config.steps
        streams = [
            batches(len(job.labelled.targets), size, steps, job.stream) for job in jobs
        ]
        for rows in zip(*streams, strict=True):
            x, y, w = inputs, targets, weights
            if (chosen := _stacked(rows)) is not None:
                x, y = x[device, chosen], y[device, chosen]
                w = None if w is None else w[device, chosen]
            grads, losses = gradients(params, x, y, shift, w)
            descent.step(list(grads))
        return self._split(params, losses)

    def _loss_of(
        self,
        params: Sequence[torch.Tensor],
        inputs: torch.Tensor,
        targets: torch.Tensor,
        shift: torch.Tensor | None,
        weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the loss of one device, under its own parameters."""
        named = dict(zip(self._names, params, strict=True))
        logits = logits_of(lambda x: functional_call(self._model, named, (x,)), inputs)
        check_logits(logits, len(targets), self._num_classes)
        logits = logits if shift is None else logits + shift
        return self._loss(logits, targets, weights)

    def _split(
        self, params: Sequence[torch.Tensor], losses: torch.Tensor
    ) -> list[TrainingResult]:
        """Take the stacked parameters apart: views, nothing is copied."""
        finite = torch.isfinite(losses).tolist()
        fits = [  # NaN fails it
            (stack.abs() <= MAX_VALUE).flatten(1).all(1).tolist() for stack in params
        ]
        frozen = self._keeper.copies(ArrayKind.CONSTANT)
        order = [*self._keeper.manifest.by_name]
        results = []
        for row, loss in enumerate(losses.tolist()):
            own = zip(
                self._names, (stack[row].numpy() for stack in params), strict=True
            )
            arrays = {**frozen, **dict(own)}
            unfit = next(
                (n for n, fit in zip(self._names, fits, strict=True) if not fit[row]),
                "",
            )
            reason = UNFIT if finite[row] else DIVERGED
            fault = Fault(reason, unfit) if unfit or not finite[row] else None
            named = {name: arrays[name] for name in order}
            results.append(TrainingResult(named, loss, self._constants, fault))
        return results


def _tensor(job: TrainingJob) -> torch.Tensor:
    """Return the inputs of a job that are one tensor."""
    inputs = job.labelled.inputs
    if not isinstance(inputs, torch.Tensor):
        raise TypeError("several tensors cannot be stacked")
    return inputs


def _stacked(given: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Stack a tensor of each job of a group; None if the group has none."""
    there = [each for each in given if each is not None]
    return torch.stack(there) if there else None


def _same(one: TrainingResult, other: TrainingResult) -> bool:
    """Tell whether two results are equal to the last bit; NaN equals NaN."""
    return np.array_equal(one.loss, other.loss, equal_nan=True) and all(
        np.array_equal(array, other.arrays[name], equal_nan=True)
        for name, array in one.arrays.items()
    )
