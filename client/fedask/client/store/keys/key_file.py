"""A file of keys, plain or under a passphrase. Made durably, and never overwritten.

Opened with the store. Only its owner may read it (mode 0600); a file that
others may read is refused, for its keys may be known to others.
"""

import glob
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from typing_extensions import override

from fedask.client.base.private_file import write_private
from fedask.client.store.keys.keyring import Keyring, parse_keys, to_text, without
from fedask.common.errors import ConfigError, SealError, StoreError
from fedask.common.seal import KEY_BYTES, Key, Place, seal, unseal

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAX_BYTES = 1 << 14  # of a file: eight keys and some parameters
_SEALED = Place("keyfile", "keys")


class KeyFile(Keyring):
    """Keys in a file of mode 0600.

    Parameters
    ----------
    path
        In a folder that must exist; the file is made by the first ``add``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)

    @override
    def read(self) -> tuple[Key, ...]:
        data = self._content()
        return () if data is None else self._decode(data)

    @override
    def add(self, key: Key) -> None:
        before = self.read()
        self._write((*before, key), first=not before)

    @override
    def drop(self, key_id: bytes) -> None:
        before = self.read()
        after = without(before, key_id, self.place)
        if len(after) < len(before):
            self._write(after, first=False)
        # What a process that was killed left under a temporary name may hold the key.
        for left in self._path.parent.glob(f".{glob.escape(self._path.name)}.*"):
            left.unlink(missing_ok=True)

    def _encode(self, keys: Sequence[Key]) -> bytes:
        return to_text(keys).encode()

    def _decode(self, data: bytes) -> tuple[Key, ...]:
        return parse_keys(data.decode("ascii", "replace"), self.place)

    def _content(self) -> bytes | None:
        """Return the file's content; None if there is no file."""
        try:
            # A pipe at this place must not block the device.
            opened = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(opened, "rb") as file:
                status = os.fstat(file.fileno())
                self._check(status)
                return file.read(_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as err:
            raise StoreError(
                f"cannot read the key {self.place}: {err.strerror}"
            ) from err

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise StoreError(
                f"{self.place} holds no key of fedask: put the right one there"
            )
        if os.name == "posix" and status.st_mode & _OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise StoreError(
                f"others may read the key {self.place} (mode {mode:04o}): after "
                f"chmod 600 {self.place}, change the key"
            )

    def _write(self, keys: Sequence[Key], *, first: bool) -> None:
        """Replace the file as a whole, or leave it as it was."""
        if not self._path.parent.is_dir():  # a slip in the settings makes no folder
            raise StoreError(f"cannot keep the key {self.place}: no such folder")
        try:
            write_private(self._path, [self._encode(keys)], new=first)
        except FileExistsError as err:
            raise StoreError(
                f"another process made the key {self.place} meanwhile: try again"
            ) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrypt:
    """The cost of trying a passphrase (RFC 7914): 128 * n * r bytes of memory.

    Parameters
    ----------
    n, r, p
        The defaults take 64 MiB and a fifth of a second on a small computer.

    Raises
    ------
    ConfigError
        If they are too weak to be of use, or would need more than 1 GiB.
    """

    n: int = 1 << 16
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        power = type(self.n) is int and self.n > 0 and self.n & (self.n - 1) == 0
        small = 1 << 10 <= self.n <= 1 << 20 and self.r == 8 and 1 <= self.p <= 16  # noqa: PLR2004  (scrypt's bounds)
        if not power or not small:
            raise ConfigError(
                f"scrypt n = {self.n!r:.20}, r = {self.r!r:.20}, p = {self.p!r:.20}: "
                "n must be a power of 2 from 1024 to 1048576, r 8, p 1 to 16"
            )

    def key(self, passphrase: bytes, salt: bytes) -> Key:
        """Return the key that a passphrase stands for."""
        most = 2 * 128 * self.r * (self.n + self.p)
        return Key(
            hashlib.scrypt(
                passphrase,
                salt=salt,
                n=self.n,
                r=self.r,
                p=self.p,
                maxmem=most,
                dklen=KEY_BYTES,
            )
        )


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase that its owner types, or that a file holds. It is not in repr.

    Raises
    ------
    ConfigError
        If it has fewer than 8 bytes, or more than 1024.
    """

    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 8 <= len(self.text) <= 1024:  # noqa: PLR2004  (scrypt's bounds)
            raise ConfigError("the passphrase must have 8 to 1024 bytes")

    @classmethod
    def read(cls, path: Path) -> "Passphrase":
        """Read the first line of a file that only its owner may read."""
        reader = KeyFile(path)
        data = reader._content()  # noqa: SLF001  (the same care as with keys)
        if data is None:
            raise StoreError(f"there is no passphrase in {path}")
        return cls(data.split(b"\n")[0].rstrip(b"\r"))


class PassphraseFile(KeyFile):
    """Keys in a file, sealed by a passphrase; beside them the parameters of scrypt.

    Parameters
    ----------
    passphrase
        Must be the same every time.
    scrypt
        For a file that is written; a file that is read says its own.
    """

    def __init__(
        self, path: Path, passphrase: Passphrase, scrypt: Scrypt | None = None
    ) -> None:
        super().__init__(path)
        self._passphrase = passphrase
        self._scrypt = scrypt or Scrypt()

    @override
    def _encode(self, keys: Sequence[Key]) -> bytes:
        salt = os.urandom(16)
        key = self._scrypt.key(self._passphrase.text, salt)
        sealed = seal(key, to_text(keys).encode(), _SEALED)
        fields = {"salt": salt.hex(), **asdict(self._scrypt), "keys": sealed.hex()}
        return json.dumps({"fedask": 1, **fields}).encode() + b"\n"

    @override
    def _decode(self, data: bytes) -> tuple[Key, ...]:
        try:
            fields = json.loads(data)
            scrypt, salt, sealed = _parsed(fields)
        except (ValueError, KeyError, TypeError, ConfigError):
            raise StoreError(
                f"{self.place} holds no key under a passphrase: put the right one there"
            ) from None
        try:
            text = unseal(scrypt.key(self._passphrase.text, salt), sealed, _SEALED)
        except SealError:
            raise StoreError(
                f"the passphrase does not open the key {self.place}, or it was damaged"
            ) from None
        return parse_keys(text.decode("ascii", "replace"), self.place)


def _parsed(fields: Mapping[str, object]) -> tuple[Scrypt, bytes, bytes]:
    cost = {name: fields[name] for name in ("n", "r", "p")}
    if fields["fedask"] != 1 or {type(each) for each in cost.values()} != {int}:
        raise ValueError
    scrypt = Scrypt(**{name: int(str(each)) for name, each in cost.items()})
    return (
        scrypt,
        bytes.fromhex(str(fields["salt"])),
        bytes.fromhex(str(fields["keys"])),
    )
