"""What is learned: classes, model factory, transform, loss. Written once by the user.

Read by both halves. Importing this module does not import torch; that waits until a
model is built.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError
from fedask.common.registry import load_attr, resolve
from fedask.common.user_code import user_code

if TYPE_CHECKING:
    import torch

    from fedask.common.inputs import Inputs

Transform = Callable[[NDArray[Any]], "torch.Tensor | Mapping[str, torch.Tensor]"]
# (batch (n, *input_shape), generator) -> another view of the same samples.
Augment = Callable[["torch.Tensor", "torch.Generator"], "torch.Tensor"]
Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]

MODELS = {
    "linear": "fedask.common.model:linear",
    "mlp": "fedask.common.model:mlp",
    "standardised-mlp": "fedask.common.model:standardised_mlp",
    "cnn": "fedask.common.model:cnn",
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the fleet learns.

    Parameters
    ----------
    classes
        Names of the classes; a label is an index into them.
    model
        ``"linear"``, ``"mlp"``, ``"standardised-mlp"``, ``"cnn"``,
        ``"package.module:attr"``, or a callable.
        A registry model is called with ``(input_shape, num_classes)``; a user's own
        with nothing. Either returns an ``nn.Module`` that maps a float batch
        ``(n, *input_shape)`` to logits ``(n, c)``: a tensor, a dict with ``"logits"``,
        or an object with ``.logits``. Each of its modules trains in the mode that it
        is made in.
    input_shape
        Shape of one transformed sample. Needed by the registry models only.
    transform
        Maps a raw batch ``(n, *raw_shape)``, any dtype, to the float tensor that the
        model takes, or to a dict of tensors that it takes by keyword; the batch is a
        copy, and its to change. No gradient flows into it. By default: convert to
        float32 and reshape to ``input_shape``; bytes (uint8) are divided by 255. Texts
        come as ``(n,)`` str, samples of several fields as a structured array,
        ``raw["image"]``: both need a transform.
    loss
        Maps ``(logits (n, c), targets (n,) int64)`` to a scalar. Default: mean cross
        entropy. Where labels weigh differently (see ``weak.weight``) it is called with
        one sample at a time.
    augment
        Maps ``(inputs (n, *input_shape), torch.Generator)`` to another view of the same
        samples, of the same shape and type, drawing from the generator alone; for
        ``train.warmup``. Default: Gaussian noise, and some elements set to zero.
    consequences
        (c, c) what it costs to predict the column when the row is true, for scorers
        that ask costly mistakes first. Default: none.

    Raises
    ------
    ConfigError
        If fewer than two classes are given, a name repeats, or the shape is not
        positive.

    Examples
    --------
    >>> import numpy as np
    >>> task = Task(classes=["cat", "dog"], model="mlp", input_shape=(8, 8))
    >>> inputs = task.to_inputs(np.zeros((3, 8, 8), dtype=np.uint8))
    >>> task.build(seed=0)(inputs).shape
    torch.Size([3, 2])
    """

    classes: Sequence[str]
    model: "str | Callable[[], torch.nn.Module]" = "mlp"
    input_shape: tuple[int, ...] = ()
    transform: Transform | None = None
    loss: Loss | None = None
    augment: Augment | None = None
    consequences: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.classes) <= 1:
            raise ConfigError(
                f"a task needs at least two classes, not {list(self.classes)}"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"class names repeat: {list(self.classes)}")
        if any(side < 1 for side in self.input_shape):
            raise ConfigError(f"input_shape {self.input_shape} must be positive")

    @property
    def num_classes(self) -> int:
        """Number of classes, c."""
        return len(self.classes)

    def build(self, seed: int) -> "torch.nn.Module":
        """Make the model with weights drawn from ``seed``, leaving global state alone.

        Raises
        ------
        ConfigError
            If the model is unknown, needs ``input_shape``, or is not an ``nn.Module``.
        """
        import torch  # noqa: PLC0415  (a device without work must not pay for it)

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self._make()
        if not isinstance(model, torch.nn.Module):
            raise ConfigError(
                f"model {self.model!r} gave {type(model).__name__}, not nn.Module"
            )
        return model

    def _make(self) -> object:
        if callable(self.model) or ":" in self.model:
            own = self.model if callable(self.model) else load_attr(self.model)
            with user_code("the task's model", own):
                return own()
        factory = resolve("model", self.model, MODELS)
        if not self.input_shape:
            raise ConfigError(f"model {self.model!r} needs the task's input_shape")
        return factory(self.input_shape, self.num_classes)

    def to_inputs(self, raw: NDArray[Any]) -> "Inputs":
        """Turn a raw batch into what the model takes.

        Raises
        ------
        ConfigError
            If the samples are no numbers, or do not fit ``input_shape``, and the task
            has no transform; if the transform fails, or gives no such inputs.
        """
        if self.transform is not None:
            from fedask.common.inputs import check_inputs  # noqa: PLC0415  (imports torch)

            what = "the task's transform"
            with user_code(what, self.transform):
                # Theirs to change, as in ``raw -= mean``: it may be a view of the pool.
                given = self.transform(raw.copy())
            return check_inputs(given, len(raw), what)
        if raw.dtype.kind not in "biuf":
            texts = raw.dtype.kind == "U"
            what = "texts" if texts else f"of type {raw.dtype}"
            hint = ", such as fedask.common.text.hashed_text" if texts else ""
            raise ConfigError(
                f"the samples are {what:.200}: the task needs a transform= for them"
                + hint
            )
        import torch  # noqa: PLC0415  (imports torch)

        # A copy: sources may be memory-mapped and read-only, torch wants neither. Into
        # torch's memory, which is aligned the same everywhere: on that the last bits of
        # a matrix product may depend.
        values = torch.empty(raw.shape, dtype=torch.float32)
        np.copyto(values.numpy(), raw, casting="unsafe")
        if raw.dtype == np.uint8:
            values /= 255.0
        shape = self.input_shape or raw.shape[1:]
        _check_shape(raw.shape[1:], shape)
        return values.reshape(len(raw), *shape)


def _check_shape(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse samples that a reshape cannot bring into form, or would scramble.

    The latter are those whose sides are the same in another order: images with their
    channels last.
    """
    if given == wanted:
        return
    if math.prod(given) != math.prod(wanted):
        raise ConfigError(
            f"samples of shape {given} do not fit the task's input_shape {wanted}: "
            "correct it, or give the task a transform="
        )
    long, other = ([side for side in shape if side > 1] for shape in (given, wanted))
    if long != other and sorted(long) == sorted(other):
        raise ConfigError(
            f"samples of shape {given} have the axes of input_shape {wanted} in "
            "another order: move them in the data, or in a transform= "
            "(torch.movedim)"
        )
