"""The model on the device: load, train, predict. Called by the device; knows no store.

One learner serves one device at a time; in a simulation all devices of a process share
it, since a model's weights arrive with every message anyway.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import inf, isfinite
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from fedask.client.learning.training.cohort import Cohort
from fedask.client.learning.training.module_keeper import ModuleKeeper
from fedask.client.learning.training.training_step import (
    Fault,
    LabelledBatch,
    Loss,
    MomentumSgd,
    TrainingJob,
    TrainingResult,
    WarmupJob,
    batches,
)
from fedask.client.learning.training.warmup import FEWEST, barlow_twins, views
from fedask.common.array_rules import check_model, first_unfit
from fedask.common.arrays import Arrays
from fedask.common.errors import ConfigError, ProtocolError, StoreError
from fedask.common.ids import stable_seed
from fedask.common.inputs import Inputs, cloned, logits_of, rows_of, shape_told
from fedask.common.manifest import ArrayKind
from fedask.common.model import FeatureTap, check_logits
from fedask.common.records import DIVERGED, UNFIT
from fedask.common.sections import TrainConfig
from fedask.common.task import Task
from fedask.common.user_code import user_code
from fedask.common.weights import ArraySpec

Floats = NDArray[np.float32]

_NOT_TRAINED = (ArrayKind.STATISTIC, ArrayKind.COUNTER, ArrayKind.CONSTANT)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Learner:
    """A model of the task with its training step.

    Parameters
    ----------
    config
        How. ``threads`` is applied to torch for the whole process.
    """

    def __init__(self, task: Task, config: TrainConfig) -> None:
        torch.set_num_threads(config.threads)
        self._task = task
        self._config = config
        self._model = task.build(seed=0)  # only its shapes matter
        self._keeper = ModuleKeeper(self._model)
        self.manifest = self._keeper.manifest
        self._spec = ArraySpec.of_manifest(self.manifest)
        self._tap: FeatureTap | None = None
        self._loss = Loss(task, config.logit_shift)
        self._cohort = Cohort(
            self._model, self._keeper, self._loss, config, task.num_classes
        )
        self._encoder: list[int] | None = None  # what of it warm-up trains
        self.loaded: Arrays | None = None  # by ``load``
        self._moved = False  # whether the module may hold others than these
        self._trained = False  # whether it surely does

    def read(self, record: ArrayRecord) -> Arrays:
        """Check and decode the model of a message.

        Raises
        ------
        ProtocolError
            If its arrays are not those of this model, or ``check_model`` refuses them.
        """
        arrays = self._spec.decode(record)
        check_model(self.manifest, arrays)
        return arrays

    def load(self, arrays: Arrays) -> None:
        """Take over a model's arrays, checked before by ``read``.

        They must not change while they are loaded; the same object again costs nothing
        if nothing ran in between.
        """
        self._moved = self._moved or arrays is not self.loaded
        self.loaded = arrays
        self._return()

    def load_stored(self, arrays: Arrays) -> None:
        """Load a model that the store of the device has kept.

        Raises
        ------
        StoreError
            If it is of another task.
        """
        if ArraySpec.of(arrays) != self._spec:
            raise StoreError(
                "the model in the store is not one of this task: if the app has a new "
                "model, the next round brings it; was the store made for another task?"
            )
        self.load(arrays)

    def _return(self) -> None:
        """Restore the module, with the loaded arrays in it, if anything ran."""
        if self.loaded is None:
            self.loaded = self._keeper.copies()
        if self._moved:
            self._keeper.restore(self.loaded)
        self._moved = False

    def _ready_to_look(self) -> None:
        """Restore the module for a prediction.

        Not after each batch that was predicted: that would cost more than a small
        model does. What a prediction changed where torch does not see it (in place,
        through ``.data``) stays until the next training or message.
        """
        if self.loaded is None or self._trained or self._keeper.touched:
            self._moved = True
            self._return()
        self._trained = False
        self._moved = True
        self._keeper.eval()

    @property
    def most_together(self) -> int:
        """How many jobs are worth giving to ``train_together`` at once."""
        return self._cohort.most

    def train(
        self,
        job: TrainingJob | WarmupJob,
        proceed: Callable[[], None] = lambda: None,
    ) -> TrainingResult:
        """Run ``config.steps`` steps of SGD from the loaded model, which stays loaded.

        Parameters
        ----------
        proceed
            Called before each step; what it raises ends the training, and the learner
            is as before.

        Raises
        ------
        ConfigError
            If the model's output does not fit the classes; in a warm-up if nothing can
            be trained, or the views are wrong.
        """
        self._return()
        self._moved = self._trained = True
        if isinstance(job, WarmupJob):
            places, losses = self._before_the_head(job), self._warm_losses(job)
        else:
            places, losses = None, self._losses(job)
        self._keeper.train()
        params = _some(self._keeper.parameters(), places)
        if not params:
            raise ConfigError(
                "the model has no parameter that requires grad: nothing can be trained"
            )
        descent = MomentumSgd(params, self._config, job.lr, job.prox)
        loss = torch.zeros(())  # replaced by the first of at least one step
        with _seeded_draws(job):
            for loss in losses:  # each is taken after the step of the last
                proceed()
                # ``forward`` may have put another parameter in the place of one.
                params[:] = _some(self._keeper.parameters(), places)
                # Zeros for a layer that the output does not use.
                with user_code("training the task's model", self._task.model):
                    grads = torch.autograd.grad(loss, params, materialize_grads=True)
                descent.step(list(grads))
        return self._result(float(loss.detach()))

    def _result(self, loss: float) -> TrainingResult:
        """Read the trained model off the module."""
        before = self.loaded
        if before is None:  # it is there since ``_return``
            raise ConfigError("nothing was loaded to train from")
        now = self._keeper.read()
        unfit = first_unfit(self.manifest, before, now)
        reason = UNFIT if isfinite(loss) else DIVERGED
        unchanged = frozenset(
            name
            for name in self.manifest.names(*_NOT_TRAINED)
            if np.array_equal(before[name], now[name])
        )
        return TrainingResult(
            {n: before[n] if n in unchanged else a.copy() for n, a in now.items()},
            loss,
            unchanged | {*self.manifest.names(ArrayKind.CONSTANT)},
            Fault(reason, unfit) if unfit or reason == DIVERGED else None,
        )

    def _losses(self, job: TrainingJob) -> Iterator[torch.Tensor]:
        config, labelled = self._config, job.labelled
        count = len(labelled.targets)
        for rows in batches(count, config.batch_size, config.steps, job.stream):
            yield self._loss_of(labelled, rows)

    def _warm_losses(self, job: WarmupJob) -> Iterator[torch.Tensor]:
        tap = self._tapped(job.inputs)
        for one, two in views(job, self._config, self._task.augment):
            with self._model_runs(one):
                seen = tap.features(one), tap.features(two)
            yield barlow_twins(*seen)

    def _before_the_head(self, job: WarmupJob) -> list[int]:
        """Return the places of the parameters that the features depend on."""
        if self._encoder is None:
            self._keeper.eval()  # a look must neither draw nor change a buffer
            tap = self._tapped(job.inputs)
            with self._model_runs(job.inputs):
                features = tap.features(rows_of(job.inputs, slice(FEWEST)))
            params = self._keeper.parameters()
            used: Sequence[torch.Tensor | None] = [None] * len(params)
            if features.requires_grad:
                used = torch.autograd.grad(features.sum(), params, allow_unused=True)
            self._encoder = [i for i, grad in enumerate(used) if grad is not None]
            self._return()
            self._moved = True
        if not self._encoder:
            raise ConfigError(
                "train.warmup: the model has nothing to train before its last layer"
            )
        return self._encoder

    def _loss_of(
        self, labelled: LabelledBatch, rows: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of one batch."""
        inputs = rows_of(labelled.inputs, rows)
        targets = labelled.targets if rows is None else labelled.targets[rows]
        with _batch_norm_of_one(self._model, len(targets)), self._model_runs(inputs):
            logits = logits_of(self._model, inputs)
        check_logits(logits, len(targets), self._task.num_classes)
        if labelled.shift is not None:
            logits = logits + labelled.shift
        weights = labelled.weights
        if weights is not None and rows is not None:
            weights = weights[rows]
        return self._loss(logits, targets, weights)

    def train_together(
        self, jobs: Sequence[TrainingJob | WarmupJob]
    ) -> Mapping[int, TrainingResult]:
        """Train the jobs of several devices at once, each from the loaded model.

        Returns
        -------
        Mapping
            Index of a job to the result of ``train``, bit for bit. Jobs that
            cannot be trained together are left out, and so is all of a warm-up.
        """
        self._return()
        self._moved = self._trained = True
        rows = [i for i, each in enumerate(jobs) if isinstance(each, TrainingJob)]
        cold = [each for each in jobs if isinstance(each, TrainingJob)]
        results = self._cohort.train(cold, self._alone)
        return {rows[index]: trained for index, trained in results.items()}

    def _alone(self, job: TrainingJob) -> TrainingResult:
        """Train one job, then restore the loaded weights for the next one."""
        trained = self.train(job)
        self._return()
        return trained

    def predict(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return class probabilities of a raw batch: (n, c) float32.

        Raises
        ------
        ConfigError
            If the model's output does not fit the classes.
        ProtocolError
            If the model gives NaN or infinity.
        """
        self._ready_to_look()
        inputs = self.to_inputs(raw)
        with torch.inference_mode(), self._model_runs(inputs):
            logits = logits_of(self._model, inputs)
        return self.softmax(self._checked(logits, len(raw)))

    def look(self, raw: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return logits (n, c) and penultimate features (n, d) of a raw batch.

        Raises
        ------
        ConfigError, ProtocolError
            As ``predict``.
        """
        self._ready_to_look()
        inputs = self.to_inputs(raw)
        tap = self._tapped(inputs)
        self._ready_to_look()  # the tap may just have run the model once
        with self._model_runs(inputs):
            logits, features = tap.read(inputs)
        return self._checked(logits, len(raw)), features.float().numpy()

    def _tapped(self, inputs: Inputs) -> FeatureTap:
        if self._tap is None:
            with self._model_runs(inputs):
                self._tap = FeatureTap(self._model, inputs)
        return self._tap

    def _model_runs(self, inputs: Inputs) -> AbstractContextManager[None]:
        """Guard a pass through the user's model."""
        what = f"the task's model, given {shape_told(inputs)},"
        return user_code(what, self._task.model)

    @staticmethod
    def softmax(logits: Floats) -> Floats:
        """Return the probabilities that logits (n, c) stand for, rows sum to one."""
        return functional.softmax(torch.from_numpy(logits), dim=1).numpy()

    def _checked(self, logits: torch.Tensor, count: int) -> Floats:
        check_logits(logits, count, self._task.num_classes)
        checked: Floats = logits.float().numpy()
        # Minus infinity is a class that the model rules out; NaN fails the comparison.
        best = checked.max(axis=1, initial=-inf)
        if not (best < inf).all():
            raise ProtocolError(
                "the global model gives NaN or infinity" + self._suspect()
            )
        if not (best > -inf).all():
            raise ProtocolError("the global model rules out every class of a sample")
        return checked

    def _suspect(self) -> str:
        """Say which array may be at fault: a variance that is negative."""
        for entry in self.manifest.of(ArrayKind.STATISTIC):
            values = (self.loaded or {}).get(entry.name)
            if entry.name.endswith("var") and values is not None and (values < 0).any():
                return f": statistic {entry.name!r:.80} holds a negative variance"
        return ""

    def to_inputs(self, raw: NDArray[Any]) -> Inputs:
        """Transform raw samples (n, ...) into the model's inputs, in aligned memory.

        A user's own transform may give anything.
        """
        inputs = self._task.to_inputs(raw)
        return inputs if self._task.transform is None else cloned(inputs)

    def prepare(
        self,
        raw: NDArray[Any],
        labels: Sequence[int],
        weights: Sequence[float] | None = None,
    ) -> LabelledBatch:
        """Turn labelled raw samples into what training takes.

        Parameters
        ----------
        raw
            (n, ...).
        labels
            (n,) class indices.
        weights
            (n,) in (0, 1], what each weighs in the loss; by default all the same.
        """
        targets = torch.tensor(labels, dtype=torch.int64)
        weighed = None
        if weights is not None:
            weighed = torch.tensor(weights, dtype=torch.float32)
        return LabelledBatch(
            inputs=self.to_inputs(raw),
            targets=targets,
            shift=self._loss.shift(targets, weighed),
            weights=weighed,
        )


def _some(
    params: list[torch.Tensor], places: Sequence[int] | None
) -> list[torch.Tensor]:
    """Return those at the places; None: all."""
    return params if places is None else [params[place] for place in places]


@contextmanager
def _batch_norm_of_one(model: nn.Module, count: int) -> Iterator[None]:
    """Let batch norms take their running statistics for a lone sample.

    One sample has none of its own, and torch refuses it; a device's first label is one.
    """
    modules = model.modules() if count == 1 else ()
    norms = [m for m in modules if isinstance(m, _NORMS) and m.training]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True


@contextmanager
def _seeded_draws(job: TrainingJob | WarmupJob) -> Iterator[None]:
    """Seed what a model draws while it trains (dropout) by the stream of the job.

    The same on every runtime, and nobody else's random numbers are used up.
    """
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(stable_seed("draws", *job.stream) >> 1)
    try:
        yield
    finally:
        generator.set_state(state)
