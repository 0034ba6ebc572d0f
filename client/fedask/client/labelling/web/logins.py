"""Keeps names and hashed passwords of those who may label, in a file of the site.

Called by the page at each sign-in, and by the site to add and remove people. Never
keeps, logs or returns a password. The file is read anew whenever it changes: a removed
login ends at once, sessions included.

A password is kept as scrypt (RFC 7914) of it with a salt of its own; n, r and p are
OWASP's, 32 MiB for each check, of which only a few run at once.
"""

import hashlib
import hmac
import json
import os
import secrets
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedask.client.base.private_file import write_private
from fedask.common.errors import ConfigError
from fedask.common.ids import Annotator, parse_annotator

MIN_PASSWORD, MAX_PASSWORD = 12, 256  # characters
MAX_FILE_BYTES = 1 << 20
_FORMAT = 1
_N, _R, _P, _BYTES = 1 << 15, 8, 1, 32
_MAX_MEMORY = 64 << 20  # twice what one hash takes
_AT_ONCE = threading.Semaphore(2)
_NOBODY_SALT = secrets.token_bytes(16)  # so that unknown names take as long


@dataclass(frozen=True, slots=True)
class _Login:
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def stamp(self) -> str:
        """Changes with the password; says nothing of it."""
        return hashlib.sha256(b"stamp" + self.salt + self.digest).hexdigest()[:16]


class Logins:
    """The site's file of logins.

    Parameters
    ----------
    path
        As ``add_login`` writes it.

    Raises
    ------
    ConfigError
        If there is no such file, others may write it, or it is damaged; also later,
        when it has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._logins: Mapping[str, _Login] = {}
        self._look()

    def check(self, name: str, password: str) -> Annotator | None:
        """Return who this is, or None; takes as long for a name that is unknown."""
        login = self._look().get(name)
        salt = _NOBODY_SALT if login is None else login.salt
        digest = _hashed(password[: MAX_PASSWORD + 1], salt)
        expected = bytes(_BYTES) if login is None else login.digest
        right = hmac.compare_digest(digest, expected)
        return parse_annotator(name) if right and login is not None else None

    def stamp(self, annotator: str) -> str | None:
        """Return what changes when the password does; None if there is no login."""
        login = self._look().get(annotator)
        return None if login is None else login.stamp

    def _look(self) -> Mapping[str, _Login]:
        """Return the logins as they are now."""
        with self._lock:
            try:
                found = self._path.stat()
            except OSError as err:
                raise ConfigError(
                    f"cannot read the logins {self._path}: {err.strerror}; "
                    "fedask device login NAME makes them"
                ) from err
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._logins = _read(self._path)
                self._seen = seen
            return self._logins


def add_login(path: Path, annotator: str, password: str) -> None:
    """Let somebody sign in; a login of that name is replaced, its sessions end.

    Parameters
    ----------
    path
        The file; made if missing, readable by its owner alone.
    annotator
        Their name, as it stands beside their answers.
    password
        12 to 256 characters.

    Raises
    ------
    ConfigError
        If the password is too short or too long, or the file is damaged.
    ProtocolError
        If it is no name.
    StoreError
        If the file cannot be written.
    """
    name = parse_annotator(annotator)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ConfigError(
            f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters: take a few "
            "words"
        )
    salt = secrets.token_bytes(16)
    kept = dict(_read(path)) if path.exists() else {}
    kept[name] = _Login(salt, _hashed(password, salt))
    _write(path, kept)


def remove_login(path: Path, annotator: str) -> bool:
    """Remove a login; return whether there was one of that name.

    Raises
    ------
    ConfigError
        If the file is missing or damaged.
    StoreError
        If it cannot be written.
    """
    kept = dict(_read(path))
    was = kept.pop(annotator, None) is not None
    if was:
        _write(path, kept)
    return was


def _hashed(password: str, salt: bytes) -> bytes:
    # The same letters may be typed as different characters on different machines.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    with _AT_ONCE:
        return hashlib.scrypt(
            text, salt=salt, n=_N, r=_R, p=_P, maxmem=_MAX_MEMORY, dklen=_BYTES
        )


def _read(path: Path) -> dict[str, _Login]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as err:
        raise ConfigError(f"cannot read the logins {path}: {err.strerror}") from err
    if os.name == "posix" and mode & 0o022:
        raise ConfigError(f"others may write the logins {path}: chmod 600 {path}")
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError  # noqa: TRY301  (one way out for all)
        kept = json.loads(data)
        if kept["format"] != _FORMAT:
            raise ValueError  # noqa: TRY301  (one way out, below)
        return {
            parse_annotator(name): _Login(
                bytes.fromhex(each["salt"]), bytes.fromhex(each["scrypt"])
            )
            for name, each in kept["logins"].items()
        }
    except Exception as err:
        raise ConfigError(
            f"{path} is no file of logins, or damaged: make a new one"
        ) from err


def _write(path: Path, logins: Mapping[str, _Login]) -> None:
    rows = {
        name: {"salt": each.salt.hex(), "scrypt": each.digest.hex()}
        for name, each in sorted(logins.items())
    }
    kept = {"format": _FORMAT, "logins": rows}
    write_private(path, [json.dumps(kept, indent=1).encode()])
