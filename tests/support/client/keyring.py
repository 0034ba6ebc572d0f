"""A keyring in memory. Passes the contract test of those that keep keys."""

from typing_extensions import override

from fedask.client.store.keys.keyring import Keyring, without
from fedask.common.seal import Key


class MemoryKeyring(Keyring):
    """Keys that are lost when the process ends."""

    place = "this process"

    def __init__(self) -> None:
        self._keys: tuple[Key, ...] = ()

    @override
    def read(self) -> tuple[Key, ...]:
        return self._keys

    @override
    def add(self, key: Key) -> None:
        self._keys = (*self._keys, key)

    @override
    def drop(self, key_id: bytes) -> None:
        self._keys = without(self._keys, key_id, self.place)
