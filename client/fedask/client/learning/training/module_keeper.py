"""Keeps a torch module as it was built, whatever its ``forward`` does to it.

Called by the learner, whose one module serves many devices in a simulation and a single
message on a real device: only what a message brings may differ between the two. So a
training or a prediction begins from the module as it was built, with the loaded arrays
in it; what it leaves behind in the module is read off, or forgotten.

Forgotten are tensors that took the place of others, buffers that are not persistent,
attributes, and what was put into a list, a set or a dict of the module. What other
objects of an attribute remember is not seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from fedask.common.arrays import Arrays
from fedask.common.manifest import ArrayKind
from fedask.common.module_arrays import ModuleArrays

_TORCH_KEEPS = frozenset(vars(nn.Module()))  # mode, tables, hooks
_LOOKED_INTO = 4_096  # entries of a list, set or dict: a vocabulary remembers nothing


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a module, or an object in one, with what was in it."""

    now: Any  # dict, list or set
    then: Any  # a copy of it; of a module's attributes, those that are its own
    size: int  # of what is not in ``then`` and may stay

    @classmethod
    def of(cls, table: Any, kept: Iterable[str] | None = None) -> "_Table":  # noqa: ANN401  (three kinds of table)
        then = table.copy() if kept is None else {key: table[key] for key in kept}
        return cls(table, then, len(table) - len(then))

    @property
    def differs(self) -> bool:
        now, then = self.now, self.then
        if len(now) != len(then) + self.size:
            return True
        if len(then) > _LOOKED_INTO:
            return False
        if isinstance(then, dict):
            return any(now.get(key, then) is not value for key, value in then.items())
        if isinstance(then, set):
            return bool(now != then)
        return any(one is not other for one, other in zip(now, then, strict=True))

    def put_back(self) -> None:
        if isinstance(self.then, list):
            self.now[:] = self.then
            return
        if isinstance(self.then, dict):
            spare = _TORCH_KEEPS if self.size else frozenset()
            for key in [k for k in self.now if k not in self.then and k not in spare]:
                del self.now[key]
        else:
            self.now.clear()
        self.now.update(self.then)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor with the memory that it had, and a copy of what no message brings."""

    tensor: torch.Tensor
    memory: torch.Tensor
    trained: bool
    values: torch.Tensor | None

    @classmethod
    def of(cls, tensor: torch.Tensor, *, travels: bool) -> "_Tensor":
        one_place_each = 0 not in tensor.stride()  # else torch cannot copy into it
        values = None if travels or not one_place_each else tensor.detach().clone()
        return cls(tensor, tensor.detach(), tensor.requires_grad, values)

    @property
    def version(self) -> int:
        """How often it was changed in place, as far as torch saw."""
        return 0 if self.tensor.is_inference() else self.tensor._version  # noqa: SLF001

    @property
    def differs(self) -> bool:
        now, then = self.tensor, self.memory
        return (
            now.data_ptr() != then.data_ptr()
            or now.shape != then.shape
            or now.stride() != then.stride()
            or now.requires_grad != self.trained
        )

    def put_back(self) -> None:
        self.tensor.data = self.memory
        self.tensor.requires_grad_(self.trained)


class ModuleKeeper:
    """A module, its arrays, and what it was built as.

    Parameters
    ----------
    model
        As it was built.

    Attributes
    ----------
    manifest
        Of the module.
    restless
        Whether ``forward`` ever left more behind than values of arrays.

    Raises
    ------
    ConfigError
        As ``read_manifest``.
    """

    def __init__(self, model: nn.Module) -> None:
        self._arrays = ModuleArrays(model)
        self.manifest = self._arrays.manifest
        self._trained = self.manifest.names(ArrayKind.PARAMETER)
        self._modules = list(model.modules())
        self._tables = [t for module in self._modules for t in _tables(module)]
        self._tensors = _tensors(self._modules, self._arrays)
        self._versions = [each.version for each in self._tensors]
        self.restless = False
        self._modes = self._built_modes(model)

    def _built_modes(self, model: nn.Module) -> list[bool]:
        """Return the mode of each module: that of the factory, or of its ``train``.

        Some freeze a part by a ``train()`` that leaves it in eval mode; what else it
        does is undone.
        """
        built = [module.training for module in self._modules]
        if all(type(m).train is nn.Module.train for m in self._modules):
            return built
        values = self.copies()
        model.train()
        modes = [
            m.training and was for m, was in zip(self._modules, built, strict=True)
        ]
        self.restore(values)
        self.restless = False
        return modes

    def train(self) -> None:
        """Set every module to the mode that it was built in."""
        for module, mode in zip(self._modules, self._modes, strict=True):
            if module.training is not mode:
                module.training = mode

    def eval(self) -> None:
        """Set every module to eval mode, past an ``eval()`` of its own."""
        for module in self._modules:
            if module.training:
                module.training = False

    @property
    def touched(self) -> bool:
        """Whether anything was seen to change since ``restore``."""
        versions = [each.version for each in self._tensors]
        return versions != self._versions or self._differs

    @property
    def _differs(self) -> bool:
        return any(t.differs for t in self._tables) or any(
            t.differs for t in self._tensors
        )

    def restore(self, arrays: Arrays) -> None:
        """Make the module what it was built as, with these arrays in it."""
        if self._differs:
            self.restless = True
            for table in self._tables:
                table.put_back()
            for tensor in self._tensors:
                tensor.put_back()
        self._arrays.write(arrays)
        for each in self._tensors:
            if each.values is not None:
                with torch.no_grad():
                    each.memory.copy_(each.values)
        self._versions = [each.version for each in self._tensors]

    def read(self) -> dict[str, NDArray[Any]]:
        """Return the arrays as they are now: mostly the module's own memory.

        Raises
        ------
        ConfigError
            As ``ModuleArrays.read``.
        """
        return self._arrays.read()

    def copies(self, *kinds: ArrayKind) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays of some kinds, as they are now; default: all."""
        arrays, names = self._arrays.read(), self.manifest.names(*(kinds or ArrayKind))
        return {name: arrays[name].copy() for name in names}

    def parameters(self) -> list[torch.Tensor]:
        """Return what is trained, as it is now: ``forward`` may replace a parameter."""
        return [self._arrays.tensor(name) for name in self._trained]


def _tables(module: nn.Module) -> Iterator[_Table]:
    """List what a module keeps by name, and the containers among its attributes."""
    own = vars(module)
    kept = [key for key in own if key not in _TORCH_KEEPS]
    yield _Table.of(own, kept)
    for table in (module._parameters, module._buffers, module._modules):  # noqa: SLF001
        if isinstance(table, dict):  # not of a scripted module: they replace nothing
            yield _Table.of(table)
    for key in kept:
        if isinstance(own[key], (dict, list, set)):
            yield _Table.of(own[key])


def _tensors(modules: Sequence[nn.Module], arrays: ModuleArrays) -> list[_Tensor]:
    """List the tensors of a module: first those that travel."""
    found = {
        id(t): _Tensor.of(t, travels=True)
        for t in map(arrays.tensor, arrays.manifest.by_name)
    }
    for module in modules:
        for value in (*module._buffers.values(), *vars(module).values()):  # noqa: SLF001
            if isinstance(value, torch.Tensor) and value.layout == torch.strided:
                found.setdefault(id(value), _Tensor.of(value, travels=False))
    return list(found.values())
