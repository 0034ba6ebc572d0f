"""Small models for the registry, and features of any ``nn.Module``.

Called through ``Task.build`` and by batchers. Imports torch: never imported by the wire
modules.
"""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from fedask.common.errors import ConfigError
from fedask.common.inputs import Inputs, count_of, logits_of, rows_of
from fedask.common.registry import nearest

_PLAIN, _CHANNELS = 2, 3  # axes of an image without and with channels
_LENGTH = 12.0  # of a standardised sample: SGD at lr 0.1 with momentum 0.9 is stable
_NOTED = 0.1  # of a batch in what was noted before
_FARTHEST = 4.0  # deviations; beyond are outliers
_LEAST = 1e-5  # deviation beside the mean, from which a float32 has moved at all


def linear(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return one linear layer on the flattened sample (softmax regression)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), num_classes))


def mlp(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return a perceptron with one hidden layer of 64 units."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(input_shape), 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


def standardised_mlp(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return the same on standardised inputs: features of any scale, and many of them.

    What to begin with for tables, hashed texts, spectra and small images.
    """
    width = prod(input_shape)
    return nn.Sequential(
        nn.Flatten(),
        Standardise(width),
        nn.Linear(width, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


class Standardise(nn.Module):
    """Brings each feature to mean 0 and one scale, by what the fleet has seen of it.

    A device notes mean and deviation of the features while it trains, and the fleet
    averages them as it does with the weights. Unlike batch norm it takes them in
    training too: a device with two classes sees the same inputs as one with ten. The
    sum of the squares of a sample is about the same whatever the number of features,
    so that one learning rate suits them all.

    Parameters
    ----------
    features
        Numbers of one sample.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self._scale = _LENGTH / sqrt(features)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x``, (n, features), standardised; far ones are brought near."""
        if self.training:
            self._note(x.detach())
        # What never moved in all that was seen says nothing when it does: no weight has
        # learned what it means.
        moved = self.deviation > _LEAST * (1e-6 + self.mean.abs())
        far = (x - self.mean) / torch.where(moved, self.deviation, torch.inf)
        return far.clamp(-_FARTHEST, _FARTHEST) * self._scale

    @torch.no_grad()
    def _note(self, x: torch.Tensor) -> None:
        """Move mean and deviation towards those of a batch, at first all the way."""
        step = _NOTED if self.mean.any() else 1.0
        self.mean.lerp_(x.mean(dim=0), step)
        deviation = (x - self.mean).square().mean(dim=0).sqrt()
        self.deviation.lerp_(deviation, step)


def cnn(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return two convolutions with group norm, pooled to 4 x 4, and a linear layer.

    Group norm rather than batch norm: batch statistics of skewed devices do not average
    (Hsieh et al., ICML 2020), and they carry raw statistics off the device.
    """
    if len(input_shape) not in {_PLAIN, _CHANNELS}:
        raise ConfigError(
            f"model 'cnn' takes images, (h, w) or (channels, h, w), not {input_shape}"
        )
    channels = input_shape[0] if len(input_shape) == _CHANNELS else 1
    front: list[nn.Module] = []
    if len(input_shape) == _PLAIN:
        front = [nn.Unflatten(1, (1, input_shape[0]))]
    return nn.Sequential(
        *front,
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 16, num_classes),
    )


class FeatureTap:
    """Reads what flows into and out of the layers of an unchanged module.

    Parameters
    ----------
    model
        Any ``nn.Module``; it is neither copied nor altered, hooks are removed again.
    example
        A batch of at least one input, run once to learn the order of the layers.

    Attributes
    ----------
    layers
        Names of the leaf modules in the order in which they ran.
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        # A compiled module passes over hooks: the one that was compiled does not.
        self._model = plain = getattr(model, "_orig_mod", model)
        self._modules = dict(plain.named_modules())
        ran: list[str] = []
        leaves = [name for name, m in self._modules.items() if not list(m.children())]
        hooks = [
            self._modules[name].register_forward_pre_hook(
                lambda _m, _x, name=name: ran.append(name)
            )
            for name in leaves
        ]
        self._forward(rows_of(example, slice(1)), hooks)
        self.layers: Sequence[str] = tuple(dict.fromkeys(ran))
        if not self.layers:
            raise ConfigError("the model runs no layer: its features cannot be read")

    @property
    def penultimate(self) -> str:
        """Name of the last linear layer that ran; its input is the usual feature."""
        for name in reversed(self.layers):
            if isinstance(self._modules[name], nn.Linear):
                return name
        return self.layers[-1]

    def read(
        self, inputs: Inputs, layer: str | None = None, *, output: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model once and read one layer.

        Parameters
        ----------
        inputs
            (n, ...) batch.
        layer
            A name from ``layers``; by default the penultimate one.
        output
            Read what the layer gives instead of what it takes.

        Returns
        -------
        tuple
            logits (n, c), unchecked, and features (n, d), float, detached; what the
            layer saw is flattened per sample.

        Raises
        ------
        ConfigError
            If the layer did not run, or what it saw is not of so many samples.
        """
        name = layer if layer is not None else self.penultimate
        if name not in self.layers:
            raise ConfigError(
                f"no layer {name!r} in the model" + nearest(name, self.layers)
            )
        seen: list[object] = []
        if output:
            hook: Any = self._modules[name].register_forward_hook(
                lambda _m, _x, out: seen.append(out)
            )
        else:
            hook = self._hook(name, seen)
        logits = self._forward(inputs, [hook])
        return logits, _per_sample(seen[-1], count_of(inputs), name).detach()

    def _hook(self, name: str, seen: list[object]) -> Any:  # noqa: ANN401  (a handle of torch)
        """Note what a layer takes, by position or by keyword."""
        return self._modules[name].register_forward_pre_hook(
            lambda _m, args, named: seen.append(
                next(iter((*args, *named.values())), None)
            ),
            with_kwargs=True,
        )

    def features(self, inputs: Inputs) -> torch.Tensor:
        """Return the penultimate features (n, d), through which gradients flow.

        The model runs in the mode that it is in.
        """
        seen: list[object] = []
        hook = self._hook(self.penultimate, seen)
        try:
            logits_of(self._model, inputs)
        finally:
            hook.remove()
        return _per_sample(seen[-1], count_of(inputs), self.penultimate)

    def _forward(self, inputs: Inputs, hooks: Sequence[Any]) -> torch.Tensor:
        modes = [(module, module.training) for module in self._model.modules()]
        for module, _ in modes:  # past an eval() of its own, which may change weights
            module.training = False
        try:
            with torch.inference_mode():
                logits: torch.Tensor = logits_of(self._model, inputs)
        finally:
            for module, training in modes:  # a frozen part stays frozen
                module.training = training
            for hook in hooks:
                hook.remove()
        return logits


def _per_sample(seen: object, count: int, layer: str) -> torch.Tensor:
    """Return what a layer saw, (n, d): several rows of one sample one after the other.

    A layer that is applied to a sequence may get it as (n * t, d).

    Raises
    ------
    ConfigError
        If its rows are not those of ``count`` samples.
    """
    if not isinstance(seen, torch.Tensor):
        raise ConfigError(
            f"the model's layer {layer!r} takes {type(seen).__name__}: its features "
            "cannot be read; give it a tensor"
        )
    if seen.ndim and len(seen) == count:
        return seen.flatten(1) if seen.ndim > 1 else seen[:, None]
    if seen.ndim == 0 or count == 0 or len(seen) % count:
        raise ConfigError(
            f"the model's layer {layer!r} takes {tuple(seen.shape)} for {count} "
            "samples: its features cannot be read; let it take the rows of a sample "
            "together, (n, ...) or (n * t, d)"
        )
    return seen.reshape(count, -1)


def check_logits(logits: object, num_samples: int, num_classes: int) -> None:
    """Refuse a model whose output does not fit the task.

    Raises
    ------
    ConfigError
        If the output is no float tensor ``(num_samples, num_classes)`` on the CPU.
    """
    if not isinstance(logits, torch.Tensor):
        raise ConfigError(
            f"the model gives {type(logits).__name__}, must give a tensor of logits "
            f"({num_samples}, {num_classes}), a dict with 'logits', or an object with "
            ".logits"
        )
    if logits.device.type != "cpu" or not logits.is_floating_point():
        raise ConfigError(
            f"the model gives {logits.dtype} on {logits.device}: logits must be floats "
            "on the CPU"
        )
    if tuple(logits.shape) != (num_samples, num_classes):
        raise ConfigError(
            f"the model gives {tuple(logits.shape)} for {num_samples} samples, but the "
            f"task has {num_classes} classes: it must give ({num_samples}, "
            f"{num_classes})"
        )
