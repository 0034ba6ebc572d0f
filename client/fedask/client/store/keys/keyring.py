"""The place of a device's key: the seam, and the keyring of the system.

Used by ``key_vault`` when a store is opened and when keys are changed; a file of keys
is in ``key_file``. Never writes a key to a log or into an error. A keyring serves
one store, for changing the key of one would lock out another; many stores of one run
share a ``FixedKeyring``, whose key stays.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from fedask.common.errors import ConfigError, SealError, StoreError
from fedask.common.seal import Key

MAX_KEYS = 8  # of one keyring: two while keys are changed, and what is left of a crash
SERVICE = "fedask"


class Keyring(Protocol):
    """Keeps the keys of a device, oldest first: one, or two while they are changed."""

    place: str  # for people: where the keys are

    def read(self) -> tuple[Key, ...]:
        """Return the keys, oldest first; none if none was ever added.

        Raises
        ------
        StoreError
            If they are there, but cannot be read, or others may read them.
        """

    def add(self, key: Key) -> None:
        """Keep one more key, the newest. It is durable when this returns.

        Raises
        ------
        StoreError
            If it cannot be kept, or another process added one meanwhile; what was
            there before is there still.
        """

    def drop(self, key_id: bytes) -> None:
        """Destroy a key, but never the only one; one that is not there is no error.

        Raises
        ------
        StoreError
            If it is the only one, or the disk refuses.
        """


def to_text(keys: Sequence[Key]) -> str:
    """Write keys as lines of hex digits, oldest first."""
    return "".join(f"{key.secret.hex()}\n" for key in keys)


def parse_keys(text: str, place: str) -> tuple[Key, ...]:
    """Read keys from lines of hex digits.

    Raises
    ------
    StoreError
        If it is anything else; it is not quoted.
    """
    lines = text.split()
    try:
        keys = tuple(Key(bytes.fromhex(line)) for line in lines[: MAX_KEYS + 1])
    except (ValueError, SealError):
        keys = ()
    if not 0 < len(keys) <= MAX_KEYS:
        raise StoreError(f"{place} holds no key of fedask: put the right one there")
    return keys


def without(keys: Sequence[Key], key_id: bytes, place: str) -> tuple[Key, ...]:
    """Leave out the key to be destroyed, unless the store would be lost without it.

    Raises
    ------
    StoreError
        If none would be left.
    """
    kept = tuple(key for key in keys if key.id != key_id)
    if keys and not kept:
        raise StoreError(
            f"the only key in {place} cannot be destroyed: the store would be lost"
        )
    return kept


class FixedKeyring(Keyring):
    """One key for many stores, as those of a simulated fleet. It is never changed.

    Parameters
    ----------
    inner
        Where the key is.
    """

    def __init__(self, inner: Keyring) -> None:
        self._inner = inner
        self.place = inner.place

    @override
    def read(self) -> tuple[Key, ...]:
        return self._inner.read()

    @override
    def add(self, key: Key) -> None:
        if self.read():
            raise StoreError(
                f"the key in {self.place} is shared by several stores: it stays"
            )
        self._inner.add(key)

    @override
    def drop(self, key_id: bytes) -> None:
        raise StoreError(
            f"the key in {self.place} is shared by several stores: it stays"
        )


class Backend(Protocol):
    """The part of a backend of the package ``keyring`` that is used."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return a secret, or None."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a secret."""


class SystemKeyring(Keyring):
    """The keyring of the operating system, through the package ``keyring``.

    Parameters
    ----------
    name
        Of the device's entry, under the service ``fedask``.
    backend
        The system's own by default.

    Raises
    ------
    ConfigError
        If the package is not installed.
    """

    def __init__(self, name: str, backend: Backend | None = None) -> None:
        self._name = name
        self._backend = _system() if backend is None else backend
        self.place = f"the system keyring (service {SERVICE!r}, name {name!r})"

    @override
    def read(self) -> tuple[Key, ...]:
        try:
            text = self._backend.get_password(SERVICE, self._name)
        except Exception as err:  # noqa: BLE001  (backends raise anything)
            raise self._refused(err) from None
        return () if text is None else parse_keys(text, self.place)

    @override
    def add(self, key: Key) -> None:
        self._put((*self.read(), key))

    @override
    def drop(self, key_id: bytes) -> None:
        self._put(without(self.read(), key_id, self.place))

    def _put(self, keys: Sequence[Key]) -> None:
        if not keys:
            return
        try:
            self._backend.set_password(SERVICE, self._name, to_text(keys))
        except Exception as err:  # noqa: BLE001  (backends raise anything)
            raise self._refused(err) from None
        # There is a backend that takes everything and keeps nothing.
        if [key.id for key in self.read()] != [key.id for key in keys]:
            raise StoreError(
                f"{self.place} did not keep the key: choose another backend, or a "
                "key file"
            )

    def _refused(self, err: Exception) -> StoreError:
        # Its text may hold anything; the name of its type tells enough.
        msg = f"{self.place} cannot be used ({type(err).__name__}): unlock it, or use a"
        return StoreError(msg + " key file")


def _system() -> Backend:
    try:
        module = importlib.import_module("keyring")
    except ImportError as err:
        raise ConfigError(
            "the system keyring needs the package keyring: "
            "pip install 'fedask[keyring]', or use a key file"
        ) from err
    backend: Backend = module.get_keyring()
    return backend
