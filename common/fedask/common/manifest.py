"""The manifest of a model: what arrays it has, and what becomes of each.

Read off a module by ``module_arrays`` on both sides, which come to the same: it follows
from how the model is built, never from data or from what a device has seen. Knows
numpy alone.

============  ==========================================  ==============================
kind          what it is                                  what the fleet makes of it
============  ==========================================  ==============================
`parameter`   a parameter that requires grad              the strategy's: a mean and a
                                                          step, a median, ...
`statistic`   a buffer of floats, such as a running mean  the mean, weighted by labels
`counter`     a buffer of integers or booleans            the largest, never a mean
`constant`    a parameter without grad; a buffer of       it stays; devices do not send
              floats that begins with NaN or infinity     it
============  ==========================================  ==============================

A buffer that happens not to change is kept to the bit by both: a mean is taken of
differences, and the largest of equal numbers is the number. So a mask of booleans or a
table of positions needs no rule of its own. One of minus infinity does: it has no mean.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ProtocolError
from fedask.common.ids import ManifestHash

SCHEMA = 1
MAX_BYTES = 8 * 2**20  # of one on the wire; a name and its shape take about 60
MAX_ARRAYS = 65_536
_MAX_NAME = 512  # characters
_MAX_AXES = 16
_MAX_MODEL_BYTES = 2**40

_FLOATS = ("float16", "float32", "float64")
_WHOLE = ("bool", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)))
DTYPES = frozenset({*_FLOATS, *_WHOLE})


class ArrayKind(StrEnum):
    """What an array of a model is."""

    PARAMETER = "parameter"  # trained
    STATISTIC = "statistic"  # floats that a layer notes while it trains
    COUNTER = "counter"  # whole numbers and flags that a layer notes
    CONSTANT = "constant"  # frozen

    @property
    def dtypes(self) -> frozenset[str]:
        """Names of the dtypes that it may have."""
        if self is ArrayKind.CONSTANT:
            return DTYPES
        return frozenset(_WHOLE if self is ArrayKind.COUNTER else _FLOATS)


MOVING = tuple(kind for kind in ArrayKind if kind is not ArrayKind.CONSTANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayEntry:
    """One array of a model.

    Parameters
    ----------
    name
        In the module's state dict: the first one, where several share the array.
    shape
        Its sides, () for a number.
    dtype
        Numpy's name, as it travels: bfloat16, which numpy lacks, goes as float32.
    kind
        What becomes of it.
    aliases
        Its other names in the state dict: tied weights are one array.

    Raises
    ------
    ProtocolError
        If a name, a shape or the dtype is none, or the dtype does not fit the kind.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: ArrayKind
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not 0 < len(name) <= _MAX_NAME:
                raise ProtocolError(
                    f"manifest: the name {name!r:.80} must have 1 to {_MAX_NAME} "
                    "characters"
                )
        sides = self.shape if len(self.shape) <= _MAX_AXES else (-1,)
        if not all(type(side) is int and side >= 0 for side in sides):
            raise ProtocolError(
                f"manifest: {self.name!r:.80} has the shape {self.shape!r:.80}, must "
                f"have at most {_MAX_AXES} sides of 0 or more"
            )
        if self.dtype not in self.kind.dtypes:
            raise ProtocolError(
                f"manifest: {self.name!r:.80} is a {self.kind} of dtype "
                f"{self.dtype!r:.40}, must be {', '.join(sorted(self.kind.dtypes))}"
            )

    @property
    def trained(self) -> bool:
        """Whether training moves it by gradients."""
        return self.kind is ArrayKind.PARAMETER

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)  # no slots: what follows from it is kept
class Manifest:
    """All arrays of a model, in the order of its state dict.

    Raises
    ------
    ProtocolError
        If there are too many, they are too large together, or a name comes twice.

    Examples
    --------
    >>> entry = ArrayEntry(
    ...     name="w", shape=(2,), dtype="float32", kind=ArrayKind.PARAMETER
    ... )
    >>> manifest = Manifest((entry,))
    >>> Manifest.from_bytes(manifest.to_bytes()) == manifest
    True
    """

    entries: tuple[ArrayEntry, ...]

    def __post_init__(self) -> None:
        if len(self.entries) > MAX_ARRAYS:
            raise ProtocolError(
                f"manifest: {len(self.entries)} arrays, must be at most {MAX_ARRAYS}"
            )
        names = [n for e in self.entries for n in (e.name, *e.aliases)]
        if len(set(names)) < len(names):
            raise ProtocolError("manifest: a name of an array comes twice")
        if sum(entry.nbytes for entry in self.entries) > _MAX_MODEL_BYTES:
            raise ProtocolError(
                f"manifest: a model of more than {_MAX_MODEL_BYTES} bytes"
            )

    @cached_property
    def by_name(self) -> Mapping[str, ArrayEntry]:
        """The entries by their first names."""
        return {entry.name: entry for entry in self.entries}

    def of(self, *kinds: ArrayKind) -> tuple[ArrayEntry, ...]:
        """Return the entries of some kinds."""
        return tuple(entry for entry in self.entries if entry.kind in kinds)

    def names(self, *kinds: ArrayKind) -> tuple[str, ...]:
        """Return the first names of the entries of some kinds."""
        return tuple(entry.name for entry in self.of(*kinds))

    def with_aliases(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arrays under all of their names, as a state dict has them."""
        return {
            name: arrays[entry.name]
            for entry in self.entries
            for name in (entry.name, *entry.aliases)
        }

    @classmethod
    def plain(cls, arrays: Mapping[str, NDArray[Any]]) -> "Manifest":
        """Describe arrays of which no module is known: floats are parameters."""
        return cls(
            tuple(
                ArrayEntry(
                    name=name,
                    shape=tuple(array.shape),
                    dtype=array.dtype.name,
                    kind=ArrayKind.PARAMETER
                    if array.dtype.kind == "f"
                    else ArrayKind.COUNTER,
                )
                for name, array in arrays.items()
            )
        )

    @cached_property
    def digest(self) -> ManifestHash:
        """The name of this manifest: a hash of its content."""
        digest = hashlib.blake2b(self.to_bytes(), digest_size=16)
        return ManifestHash(digest.hexdigest())

    def to_bytes(self) -> bytes:
        """Encode it; ``from_bytes`` gives an equal one."""
        rows = [[e.name, e.dtype, e.shape, e.kind, e.aliases] for e in self.entries]
        table = {"v": SCHEMA, "arrays": rows}
        return json.dumps(table, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read and check one from another machine.

        Raises
        ------
        ProtocolError
            If it is too large, of another schema version, or not exactly what
            ``to_bytes`` writes.
        """
        if len(data) > MAX_BYTES:
            raise ProtocolError(
                f"manifest of {len(data)} bytes, must be at most {MAX_BYTES}"
            )
        try:
            table = json.loads(data)
            version = table["v"]
            rows = [
                (name, dtype, tuple(shape), ArrayKind(kind), tuple(aliases))
                for name, dtype, shape, kind, aliases in table["arrays"]
            ]
            texts = [t for row in rows for t in (*row[:2], *row[4])]
        except (ValueError, TypeError, KeyError, RecursionError) as err:
            raise ProtocolError("manifest: not in its form") from err
        if type(version) is not int or version != SCHEMA:
            raise ProtocolError(
                f"manifest has schema version {version!r:.20}, this side knows {SCHEMA}"
            )
        if not all(isinstance(text, str) for text in texts):
            raise ProtocolError("manifest: a name or a dtype is no text")
        manifest = cls(
            tuple(
                ArrayEntry(name=name, dtype=dtype, shape=shape, kind=kind, aliases=also)
                for name, dtype, shape, kind, also in rows
            )
        )
        if manifest.to_bytes() != data:  # 1.0 for 1, a key twice, blanks
            raise ProtocolError("manifest: not in its form")
        return manifest
