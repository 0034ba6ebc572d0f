"""The arrays of a torch module: its manifest, and reading and writing them.

Called by the learner of a device and by the server for the initial model. A module may
replace its tensors while it runs (``self.mean = ...``, ``weight.data = ...``), so they
are looked up where the module has them each time. Imports torch: never imported by the
wire modules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from fedask.common.arrays import Arrays
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.manifest import DTYPES, ArrayEntry, ArrayKind, Manifest

# Floats that numpy has no dtype for; float32 holds each of their values.
_NARROW = frozenset({torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a module has an array: a table of its own, and the key in it."""

    name: str
    table: Mapping[str, torch.Tensor | None]
    key: str

    @property
    def tensor(self) -> torch.Tensor | None:
        """The tensor that is there now."""
        return self.table[self.key]


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor's values: its memory where numpy knows the dtype, else a copy."""
    plain = tensor.detach()
    array: NDArray[Any] = (
        plain.float().numpy() if plain.dtype in _NARROW else plain.numpy()
    )
    return array


def read_manifest(model: nn.Module) -> Manifest:
    """Return the manifest of a module as it was built.

    Raises
    ------
    ConfigError
        Naming the array that cannot travel: without a shape yet, not in the memory of
        the CPU, sparse, quantised or complex; or the module with state that is no
        array.
    """
    return ModuleArrays(model).manifest


def read_arrays(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of a module's arrays, tied weights once.

    Raises
    ------
    ConfigError
        As ``read_manifest``.
    """
    return {n: a.copy() for n, a in ModuleArrays(model).read().items()}


class ModuleArrays:
    """Reads and writes the arrays of one module.

    Parameters
    ----------
    model
        As it was built.

    Attributes
    ----------
    manifest
        Of the module; never changes.

    Raises
    ------
    ConfigError
        As ``read_manifest``.
    """

    def __init__(self, model: nn.Module) -> None:
        _refuse_extra_state(model)
        self._model = model
        places: dict[int, list[_Place]] = {}  # by tensor: tied weights are one
        for place in _places(model):
            if place.tensor is not None:
                places.setdefault(id(place.tensor), []).append(place)
        self._places = {found[0].name: tuple(found) for found in places.values()}
        self._known = {place.name for found in places.values() for place in found}
        try:
            self.manifest = Manifest(tuple(map(self._entry, self._places)))
        except ProtocolError as err:  # here it is the model that is at fault
            raise ConfigError(f"the model cannot travel: {err}") from err

    def read(self) -> dict[str, NDArray[Any]]:
        """Return the arrays as they are now: mostly the module's own memory.

        Raises
        ------
        ConfigError
            Naming the first that is new, has another shape or dtype than it was built
            with, or whose tied names are not one tensor any more.
        """
        arrays: dict[str, NDArray[Any]] = {}
        self._refuse_new()
        for entry in self.manifest.entries:
            arrays[entry.name] = array = self._current(entry)
            if array.shape != entry.shape or array.dtype.name != entry.dtype:
                raise ConfigError(
                    f"the model replaced {entry.name!r}, {entry.dtype} {entry.shape}, "
                    f"by {array.dtype.name} {array.shape}: it must keep both"
                )
        return arrays

    def _current(self, entry: ArrayEntry) -> NDArray[Any]:
        tensor = self.tensor(entry.name)
        for other in self._places[entry.name][1:]:
            if other.tensor is not tensor:
                raise ConfigError(
                    f"{entry.name!r} and {other.name!r} were one tensor, and are two "
                    "since the model replaced one of them: replace both or none"
                )
        return to_numpy(tensor)

    def _refuse_new(self) -> None:
        for place in _places(self._model):
            if place.tensor is not None and place.name not in self._known:
                raise ConfigError(
                    f"the model made {place.name!r} while it ran: it must have all of "
                    "its arrays when it is built"
                )

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor of an array as it is now.

        Raises
        ------
        ConfigError
            If the module has replaced it by None.
        """
        tensor = self._places[name][0].tensor
        if tensor is None:
            raise ConfigError(f"the model replaced {name!r} by None")
        return tensor

    def write(self, arrays: Arrays) -> None:
        """Copy the arrays into the tensors that the module has now."""
        with torch.no_grad():
            for name in self._places:
                tensor = self.tensor(name)
                if tensor.dtype in _NARROW:
                    tensor.copy_(torch.tensor(arrays[name]))  # of read-only memory, too
                else:  # past torch's dispatch, which costs more than a small copy
                    np.copyto(tensor.detach().numpy(), arrays[name])

    def _entry(self, name: str) -> ArrayEntry:
        tensor = self.tensor(name)
        _check(name, tensor)
        array = to_numpy(tensor)
        return ArrayEntry(
            name=name,
            shape=tuple(array.shape),
            dtype=array.dtype.name,
            kind=_kind(tensor, array),
            aliases=tuple(place.name for place in self._places[name][1:]),
        )


def _kind(tensor: torch.Tensor, array: NDArray[Any]) -> ArrayKind:
    """Tell the kind by the rules at the top of ``manifest``."""
    if isinstance(tensor, nn.Parameter):
        return ArrayKind.PARAMETER if tensor.requires_grad else ArrayKind.CONSTANT
    if array.dtype.kind != "f":
        return ArrayKind.COUNTER
    finite = bool(np.isfinite(array).all())
    return ArrayKind.STATISTIC if finite else ArrayKind.CONSTANT


def _places(model: nn.Module) -> Iterator[_Place]:
    """List where the tensors of a state dict are, in its order."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        own: Any = module  # torch's public tables do not tell the owners
        for key in own._parameters.keys():  # noqa: SIM118, SLF001  (all that a scripted module's tables have)
            yield _Place(dot + key, own._parameters, key)  # noqa: SLF001
        for key in own._buffers.keys():  # noqa: SIM118, SLF001
            if key not in own._non_persistent_buffers_set:  # noqa: SLF001
                yield _Place(dot + key, own._buffers, key)  # noqa: SLF001


def _refuse_extra_state(model: nn.Module) -> None:
    """Refuse state that is no array: nobody can add it up."""
    for name, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise ConfigError(
                f"the module {name!r} ({type(module).__name__}) has extra state, which "
                "cannot travel: keep it in buffers"
            )


def _check(name: str, tensor: torch.Tensor) -> None:
    """Refuse a tensor that cannot travel, by name."""
    why = ""
    if isinstance(tensor, (UninitializedBuffer, UninitializedParameter)):
        why = "has no shape yet: run the model once where it is made"
    elif tensor.device.type != "cpu":
        why = f"is on {tensor.device}: the factory must make it on the CPU"
    elif tensor.is_inference():
        why = "was made in inference mode: torch cannot train it"
    elif tensor.layout != torch.strided or tensor.is_quantized:
        why = "is sparse or quantised: only dense arrays are added up"
    elif tensor.dtype not in _NARROW and _name(tensor) not in DTYPES:
        why = f"is of {tensor.dtype}: its values must be real numbers"
    if why:
        raise ConfigError(f"the model cannot travel: {name!r} {why}")


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
