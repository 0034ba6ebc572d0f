"""Warm-up: training the encoder without labels, from two views of each sample.

Called by the device and the learner in the rounds before the first questions, so that
these come from features that say something. Never looks at a label, and leaves the last
layer alone.
"""

from collections.abc import Iterator

import numpy as np
import torch

from fedask.client.learning.training.training_step import WarmupJob, batches
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid, stable_seed
from fedask.common.sections import WARMUP_SAMPLES, TrainConfig
from fedask.common.task import Augment
from fedask.common.user_code import user_code

FEWEST = 2  # samples of which a variance can be taken
_BATCH = 256  # correlations of fewer are mostly noise; the paper's smallest batch
_NOISE = 0.2  # standard deviations of the batch
_MASKED = 0.2  # share of the elements
_REDUNDANCY = 0.005  # lambda, as published
_EPSILON = 1e-4  # variance of features that hardly move, as far as they may be blown up


def draw(pool: Pool, seed: int, step: int) -> list[Uid]:
    """Draw what one round of warm-up sees: at most ``WARMUP_SAMPLES``, sorted.

    By hash, and another share in every round.
    """
    places = pool.drawn(WARMUP_SAMPLES, stable_seed("warm-up", seed, step))
    return [Uid(uid) for uid in np.sort(pool.uids[places]).tolist()]


def views(
    job: WarmupJob, config: TrainConfig, augment: Augment | None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield two views of the batch of each step: (n, ...) both.

    Raises
    ------
    ConfigError
        If the task's ``augment`` fails, changes the shape or the type, or there is none
        and the inputs are not floats; if they are several tensors.
    """
    seed = stable_seed("views", *job.stream) >> 1
    generator = torch.Generator().manual_seed(seed)
    change = noisy if augment is None else augment
    inputs = job.inputs
    if not isinstance(inputs, torch.Tensor):
        raise ConfigError("train.warmup has no views of a dict of inputs: set it to 0")
    for rows in batches(len(inputs), _BATCH, config.steps, job.stream):
        batch = inputs if rows is None else inputs[rows]
        yield _view(batch, change, generator), _view(batch, change, generator)


def _view(
    batch: torch.Tensor, change: Augment, generator: torch.Generator
) -> torch.Tensor:
    with user_code("the task's augment", change):
        view = change(batch.clone(), generator)
    kind = (getattr(view, "shape", None), getattr(view, "dtype", None))
    if kind != (batch.shape, batch.dtype):
        raise ConfigError(
            f"the task's augment made {kind[1]} {kind[0]} of {batch.dtype} "
            f"{tuple(batch.shape)}: it must keep both"
        )
    return view


def noisy(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add Gaussian noise and set random elements to zero: a view of any float input.

    Parameters
    ----------
    batch
        (n, ...) float.

    Raises
    ------
    ConfigError
        If the inputs are not floats: noise would make no sense.
    """
    if not batch.is_floating_point():
        raise ConfigError(
            f"train.warmup has no views of {batch.dtype} inputs: give Task(augment="
            "...), a function of (batch, torch.Generator)"
        )
    noise = torch.randn(batch.shape, generator=generator, dtype=batch.dtype)
    kept = torch.rand(batch.shape, generator=generator) >= _MASKED
    return (batch + _NOISE * batch.std() * noise) * kept


def barlow_twins(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Return the Barlow Twins loss of the features of two views.

    It does not depend on the scale of the features. VICReg, which wants them to be of
    unit variance, let them grow until the learning rate of the last layer was too high.

    Parameters
    ----------
    one, two
        (n, d) features, row i of both of sample i; n >= 2.

    Returns
    -------
    torch.Tensor
        Scalar: the published loss per feature, so that the learning rate that suits
        labels does.

    References
    ----------
    Zbontar et al., "Barlow Twins: self-supervised learning via redundancy reduction",
    ICML 2021, equations 1 and 2, lambda as there; on the features themselves, without
    the projector, which would be one more network to hold and to share.
    """
    cross = _standardised(one).T @ _standardised(two) / (len(one) - 1)
    alike = cross.diagonal()
    others = cross.square().sum() - alike.square().sum()
    return ((1 - alike).square().sum() + _REDUNDANCY * others) / one.shape[1]


def _standardised(features: torch.Tensor) -> torch.Tensor:
    """Bring every feature to mean 0 and variance 1; one that never moves stays 0."""
    centred = features - features.mean(dim=0)
    return centred / torch.sqrt(features.var(dim=0) + _EPSILON)
