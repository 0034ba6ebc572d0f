"""What becomes of the statistics and counters of a model, from those of the devices.

Called by the server, beside the sum of the parameters. Exact, so that neither the order
of the replies nor the runtime changes a bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.array_rules import fault_of, is_fit
from fedask.common.arrays import Arrays
from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest

_SCALE = 2.0**30  # what is left of a whole number is kept to 2**-30
_MAX_SUM = 2.0**62  # so that no int64 sum can wrap


class StateSum:
    """Takes the statistics and counters of one round's updates, one device by one.

    *Statistics* are averaged, weighted by labels, and no optimiser of the server moves
    them: a step along Adam's moments would make a variance negative. What is summed is
    each one's difference from the model that was sent, in two parts: its whole number
    in int64, and the rest in fixed point. So an element that nobody changed keeps
    its bits, a variance of 1e9 is as exact as a mean of 0.1, and the result lies
    between the smallest and the largest of what the devices have.

    Of *counters* the largest is taken, element by element. Devices that train
    the same number of steps count alike, so it is the count that each of them has; a
    sum over devices would grow with the fleet, and a layer that averages over the
    batches it has counted (batch norm with ``momentum=None``) would stand still. It is
    also a value that some device has: a place in a ring stays a place in it, and a flag
    is up if one device has raised it.

    Parameters
    ----------
    base
        The model that was sent.

    Examples
    --------
    >>> entry = ArrayEntry(
    ...     name="mean", shape=(), dtype="float32", kind=ArrayKind.STATISTIC
    ... )
    >>> total = StateSum(Manifest((entry,)), {"mean": np.array(0.0, np.float32)})
    >>> total.add({"mean": np.array(1.0, np.float32)}, weight=3)  # after ``check``
    >>> total.add({}, weight=1)  # it did not change there
    >>> float(total.result()["mean"])
    0.75
    """

    def __init__(self, manifest: Manifest, base: Arrays) -> None:
        self._base = base
        self._means = {
            e.name: _Mean.of(e, base[e.name]) for e in manifest.of(ArrayKind.STATISTIC)
        }
        self._largest: dict[str, NDArray[Any] | None] = dict.fromkeys(
            manifest.names(ArrayKind.COUNTER)
        )
        self._entries = manifest.of(ArrayKind.STATISTIC, ArrayKind.COUNTER)
        self._weight = 0
        self._bound = 0.0

    def check(self, arrays: Arrays, weight: int) -> None:
        """Refuse one device's before they are added.

        Parameters
        ----------
        arrays
            Of the shapes and dtypes of the manifest; what is missing did not change
            there, others than statistics and counters are passed over.
        weight
            At least 1.

        Raises
        ------
        ProtocolError
            Naming an array that training cannot have made of what was sent, or if the
            sum could leave the range of int64.
        """
        for entry in self._entries:
            if not is_fit(entry, self._base[entry.name], self._of(arrays, entry.name)):
                raise ProtocolError(fault_of(entry))
        if not self._bound + weight * self._furthest(arrays) < _MAX_SUM:
            raise ProtocolError(f"sum of statistics out of range: weight {weight}")

    def add(self, arrays: Arrays, weight: int) -> None:
        """Add one device's, after ``check``."""
        if not self._entries:
            return
        self._bound += weight * self._furthest(arrays)
        self._weight += weight
        for name, mean in self._means.items():
            mean.add(self._of(arrays, name), weight)
        for name, largest in self._largest.items():
            now = self._of(arrays, name)
            # Of two numbers numpy would give no array.
            self._largest[name] = np.asarray(
                now if largest is None else np.maximum(largest, now)
            )

    def _of(self, arrays: Arrays, name: str) -> NDArray[Any]:
        return arrays.get(name, self._base[name])

    def _furthest(self, arrays: Arrays) -> float:
        """Return the largest magnitude that one label of the device can add."""
        moved = [
            float(np.abs(mean.moved(arrays[name])).max(initial=0.0))
            for name, mean in self._means.items()
            if name in arrays
        ]
        return max([*moved, _SCALE])  # the rest of a whole number, in fixed point

    def result(self) -> dict[str, NDArray[Any]]:
        """Return the next statistics and counters: those sent, if nothing was added."""
        means = {name: mean.value(self._weight) for name, mean in self._means.items()}
        counts = {
            name: self._base[name] if largest is None else largest
            for name, largest in self._largest.items()
        }
        return {e.name: {**means, **counts}[e.name] for e in self._entries}


@dataclass(slots=True)
class _Mean:
    """The sums of one statistic."""

    base: NDArray[np.float64]
    dtype: str
    whole: NDArray[np.int64]
    rest: NDArray[np.int64]
    low: NDArray[Any]
    high: NDArray[Any]

    @classmethod
    def of(cls, entry: ArrayEntry, base: NDArray[Any]) -> "_Mean":
        zeros = np.zeros(entry.shape, dtype=np.int64)
        wide = base.astype(np.float64)
        return cls(wide, entry.dtype, zeros, zeros.copy(), wide + np.inf, wide - np.inf)

    def moved(self, now: NDArray[Any]) -> NDArray[np.float64]:
        difference: NDArray[np.float64] = now.astype(np.float64) - self.base
        return difference

    def add(self, now: NDArray[Any], weight: int) -> None:
        moved = self.moved(now)
        whole = np.rint(moved)
        self.whole += whole.astype(np.int64) * weight
        self.rest += np.rint((moved - whole) * (weight * _SCALE)).astype(np.int64)
        self.low, self.high = np.minimum(self.low, now), np.maximum(self.high, now)

    def value(self, weight: int) -> NDArray[Any]:
        moved = self.whole / max(weight, 1) + self.rest / (max(weight, 1) * _SCALE)
        # Plus zero: of 0.0 and -0.0 the least is the one that came first.
        mean = np.clip(self.base + moved, self.low, self.high) + 0.0
        same = (self.low >= self.base) & (self.high <= self.base)
        return np.where(same, self.base, mean).astype(self.dtype)
