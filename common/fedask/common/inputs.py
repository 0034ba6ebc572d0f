"""A batch of model inputs: one tensor, or several by name.

Called by the task, which makes them, and by whatever trains or predicts. A model that
takes several gets them as keyword arguments, as language models do. Imports torch:
never imported by the wire modules.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fedask.common.errors import ConfigError

# (n, ...), or each (n, ...): row i of all of them is sample i.
Inputs = torch.Tensor | Mapping[str, torch.Tensor]

_HALF = (torch.bfloat16, torch.float16)


def check_inputs(given: Any, count: int, what: str) -> Inputs:  # noqa: ANN401  (a user's own)
    """Return inputs, free of gradients; refuse what no model can be given.

    Parameters
    ----------
    count
        Samples that there must be, n.
    what
        Who made them, for errors.

    Raises
    ------
    ConfigError
        If it is neither a tensor nor a dict of tensors, one lies on another device than
        the CPU, or the samples are not as many.
    """
    if isinstance(given, Mapping):
        if not given:
            raise ConfigError(f"{what} gives an empty dict: it must hold a tensor")
        return {str(key): _checked(t, count, what) for key, t in given.items()}
    return _checked(given, count, what)


def _checked(given: object, count: int, what: str) -> torch.Tensor:
    if not isinstance(given, torch.Tensor):
        raise ConfigError(
            f"{what} gives {type(given).__name__}, must give a tensor (n, ...) or a "
            "dict of such tensors"
        )
    if given.device.type != "cpu":
        raise ConfigError(
            f"{what} gives a tensor on {given.device}: devices compute on the CPU, end "
            "it with .cpu()"
        )
    if given.ndim == 0 or len(given) != count:
        raise ConfigError(
            f"{what} gives a tensor {tuple(given.shape)} for {count} samples: the "
            f"first axis must have {count}"
        )
    return given.detach()


def count_of(inputs: Inputs) -> int:
    """Return how many samples a batch holds, n."""
    if isinstance(inputs, torch.Tensor):
        return len(inputs)
    return len(next(iter(inputs.values())))


def shape_told(inputs: Inputs) -> str:
    """Return type and shape of the tensors, for people: ``float32 (2, 8)``."""
    if isinstance(inputs, torch.Tensor):
        kind = str(inputs.dtype).removeprefix("torch.")
        return f"{kind} {tuple(inputs.shape)}"
    return ", ".join(f"{name} {shape_told(each)}" for name, each in inputs.items())


def cloned(inputs: Inputs) -> Inputs:
    """Return a copy in memory of torch's own, which is aligned the same everywhere."""
    if isinstance(inputs, torch.Tensor):
        return inputs.clone()
    return {name: tensor.clone() for name, tensor in inputs.items()}


def rows_of(inputs: Inputs, rows: torch.Tensor | slice | None) -> Inputs:
    """Return some samples of a batch; None = all."""
    if rows is None:
        return inputs
    if isinstance(inputs, torch.Tensor):
        return inputs[rows]
    return {name: tensor[rows] for name, tensor in inputs.items()}


def flat(inputs: Inputs) -> torch.Tensor:
    """Return every sample as one row of float64: (n, d)."""
    if isinstance(inputs, torch.Tensor):
        return inputs.double().flatten(1)
    return torch.cat([each.double().flatten(1) for each in inputs.values()], dim=1)


def logits_of(model: nn.Module | Callable[..., Any], inputs: Inputs) -> Any:  # noqa: ANN401  (a user's own)
    """Run a model; return its logits, unchecked.

    They are what it returns, its ``"logits"`` if that is a dict, or its ``.logits``;
    in float32 where the model computes in half of that.
    """
    given = model(inputs) if isinstance(inputs, torch.Tensor) else model(**inputs)
    if isinstance(given, Mapping):
        given = given.get("logits", given)
    given = getattr(given, "logits", given)
    if isinstance(given, torch.Tensor) and given.dtype in _HALF:
        return given.float()
    return given
