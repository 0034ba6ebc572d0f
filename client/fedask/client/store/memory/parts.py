"""Parts of models in memory: the arrays themselves, not copied. A part of ``store``.

Simulated devices of one process share one, so that there is one copy for all of them.
"""

from collections.abc import Collection, Sequence
from typing import Any

from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.part_store import PartStore, too_large
from fedask.common.errors import StoreError
from fedask.common.ids import DeviceId, PartDigest
from fedask.common.part import ModelPart


class MemoryParts(PartStore):
    """Parts that are lost when the process ends.

    Parameters
    ----------
    max_bytes
        Room for all of them.
    """

    def __init__(self, max_bytes: int = 2 << 30) -> None:
        self._room = max_bytes
        self._parts: dict[PartDigest, NDArray[Any]] = {}  # last used last
        self._asked: dict[DeviceId, frozenset[PartDigest]] = {}

    @override
    def get(self, digest: PartDigest) -> NDArray[Any] | None:
        array = self._parts.pop(digest, None)
        if array is not None:
            self._parts[digest] = array
        return array

    @override
    def put(self, parts: Sequence[ModelPart], used: Collection[PartDigest]) -> None:
        after = {**self._parts, **{part.digest: part.array for part in parts}}
        stay = {*used, *(part.digest for part in parts)}
        size = sum(array.nbytes for array in after.values())
        least = sum(array.nbytes for name, array in after.items() if name in stay)
        if least > self._room:
            raise StoreError(too_large(least, self._room))
        for name in [name for name in after if name not in stay]:
            if size > self._room:
                size -= after.pop(name).nbytes
        for array in after.values():
            array.flags.writeable = False
        self._parts = after

    @override
    def ask(self, device: DeviceId, lacking: Collection[PartDigest]) -> bool:
        before = self._asked.pop(device, frozenset())
        if lacking:
            self._asked[device] = frozenset(lacking)
        return not before.isdisjoint(lacking)
