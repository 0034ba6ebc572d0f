"""The owner's settings of a device's store: its keys and its quota."""

from dataclasses import dataclass
from pathlib import Path

from fedask.client.base.private_file import read_private
from fedask.client.records.payload import StoreQuota
from fedask.client.store.audit.audit_log import SqliteAudit
from fedask.client.store.audit.hash_chain import MIN_KEY_BYTES
from fedask.client.store.keys.key_file import KeyFile, Passphrase, PassphraseFile
from fedask.client.store.keys.keyring import Keyring, SystemKeyring
from fedask.client.store.part_folder import MAX_BYTES, PARTS, PartFolder
from fedask.client.store.sqlite.connection import audit_key
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import Clock
from fedask.common.errors import ConfigError
from fedask.common.settings import require

_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Settings with which a store is opened.

    Parameters
    ----------
    key
        The key file; by default one beside the store, its name with ``.key`` at the
        end. That protects a copy of the store alone: better on another medium.
    passphrase
        A file whose first line opens the key file, as a service manager hands it to a
        process; by default the key file is plain.
    keyring
        Name of an entry in the system keyring, instead of a key file.
    quota_bytes
        Room for payloads.
    parts_bytes
        Room for parts of models: what the server sends once because no training
        changes it. They stand in a folder beside the store, in clear. 2 GiB hold two
        versions of a large encoder; a model that needs more is sent whole every time.
    audit_key
        A file of at least 32 random bytes, that only the device may read: the key of
        the audit log. By default the store's own, which is worth what the device's key
        is.

    Raises
    ------
    ConfigError
        If two of them exclude each other, or one is out of range.
    """

    key: Path | None = None
    passphrase: Path | None = None
    keyring: str = ""
    quota_bytes: int = StoreQuota().max_bytes
    parts_bytes: int = MAX_BYTES
    audit_key: Path | None = None

    def __post_init__(self) -> None:
        StoreQuota(max_bytes=self.quota_bytes)
        require(
            self.parts_bytes >= 0, "parts_bytes", self.parts_bytes, "must be 0 or more"
        )
        only = not self.keyring or (self.key is None and self.passphrase is None)
        require(only, "keyring", self.keyring, "stands instead of key and passphrase")

    def keyring_of(self, store: Path) -> Keyring:
        """Return the keyring of a store.

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
        path = self.key or store.with_name(store.name + ".key")
        if self.passphrase is not None:
            return PassphraseFile(path, Passphrase.read(self.passphrase))
        return KeyFile(path)

    def open(self, path: Path, clock: Clock, process: str) -> SqliteStore:
        """Open a store with its audit log: the one way for every process of a device.

        Parameters
        ----------
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
        parts = PartFolder(path.with_name(path.name + PARTS), self.parts_bytes)
        return SqliteStore(path, self.keyring_of(path), quota, audit, parts=parts)

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
        if self.audit_key is None:
            return None
        key = read_private(self.audit_key, "the audit key", _MAX_KEY_BYTES)
        if len(key) < MIN_KEY_BYTES:
            raise ConfigError(
                f"the audit key {self.audit_key} has {len(key)} bytes, not "
                f"{MIN_KEY_BYTES} or more"
            )
        return key
