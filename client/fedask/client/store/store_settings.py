"""Where the key of a device's store is, and how much it may hold. Set by its owner."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fedask.client.base.prefixed_settings import settings_under
from fedask.client.base.private_file import read_private
from fedask.client.records.payload import StoreQuota
from fedask.client.store.audit.audit_log import SqliteAudit
from fedask.client.store.audit.hash_chain import MIN_KEY_BYTES
from fedask.client.store.keys.key_file import KeyFile, Passphrase, PassphraseFile
from fedask.client.store.keys.keyring import Keyring, SystemKeyring
from fedask.client.store.sqlite.connection import audit_key
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import Clock
from fedask.common.errors import ConfigError

_PREFIX = "store-"
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """How a store is opened.

    Parameters
    ----------
    key
        The key file; "" is one beside the store, its name with ``.key`` at the end.
        That protects a copy of the store alone: better on another medium.
    passphrase
        A file whose first line opens the key file, as a service manager hands it to a
        process; "" = the key file is plain.
    keyring
        Name of an entry in the system keyring, instead of a key file.
    quota_bytes
        Room for payloads.
    audit_key
        A file of at least 32 random bytes, that only the device may read: the key of
        the audit log. "" is the store's own, which is worth what the device's key is.

    Raises
    ------
    ConfigError
        If two of them exclude each other, or one is out of range.
    """

    key: str = ""
    passphrase: str = ""
    keyring: str = ""
    quota_bytes: int = StoreQuota().max_bytes
    audit_key: str = ""

    def __post_init__(self) -> None:
        StoreQuota(max_bytes=self.quota_bytes)
        if self.keyring and (self.key or self.passphrase):
            msg = "store-keyring stands instead of store-key and store-passphrase"
            raise ConfigError(msg)

    @classmethod
    def from_node(cls, node: Mapping[str, object]) -> "StoreSettings":
        """Read the settings that begin with ``store-``: ``store-key`` and so on.

        Parameters
        ----------
        node
            The owner's node configuration; other keys are not looked at, but one that
            begins with ``store-``.

        Raises
        ------
        ConfigError
            If a key or a value is wrong.
        """
        types = {each.name: type(each.default) for each in fields(cls)}
        chosen: dict[str, Any] = {}
        for name, key, value in settings_under(node, _PREFIX, types):
            if type(value) is not types[name]:  # not told: it may be a secret
                msg = f"--node-config {key}: must be of type {types[name].__name__}"
                raise ConfigError(msg)
            chosen[name] = value
        return cls(**chosen)

    def keyring_of(self, store: Path) -> Keyring:
        """Return where the key of a store is.

        Raises
        ------
        ConfigError
            If the package for the system keyring is missing, or the passphrase is too
            short.
        StoreError
            If the passphrase cannot be read.
        """
        if self.keyring:
            return SystemKeyring(self.keyring)
        path = Path(self.key) if self.key else store.with_name(store.name + ".key")
        if self.passphrase:
            return PassphraseFile(path, Passphrase.read(Path(self.passphrase)))
        return KeyFile(path)

    def open(self, path: Path, clock: Clock, process: str) -> SqliteStore:
        """Open a store with its audit log: the one way for every process of a device.

        Parameters
        ----------
        clock
            For the log.
        process
            Who opens it: a short word for the log.

        Raises
        ------
        ConfigError
            If the key of the log is in a file that cannot be used.
        StoreError
            If it cannot be opened, or its log is not what its head says.
        """
        quota = StoreQuota(max_bytes=self.quota_bytes)
        audit = SqliteAudit(path, self._audit_key(), clock, process=process)
        return SqliteStore(path, self.keyring_of(path), quota, audit)

    def audit_key_of(self, path: Path) -> bytes:
        """Return the key that the log of a store is checked with; open no store.

        Raises
        ------
        ConfigError, StoreError
            If it cannot be had.
        """
        return self._audit_key() or audit_key(path, self.keyring_of(path))

    def _audit_key(self) -> bytes | None:
        """Return the key in the owner's file; None: there is no such file."""
        if not self.audit_key:
            return None
        key = read_private(Path(self.audit_key), "the audit key", _MAX_KEY_BYTES)
        if len(key) < MIN_KEY_BYTES:
            msg = f"the audit key {self.audit_key} has {len(key)} bytes, not "
            raise ConfigError(msg + f"{MIN_KEY_BYTES} or more")
        return key
