"""Files that only their owner may read: the token of a loopback port, keys.

Called by the server and the client before anything is listened to or sent.
"""

import os
import secrets
import stat
from pathlib import Path

from fedask.common.errors import ConfigError

_TOKEN_BYTES = 32
_MAX_BYTES = 1 << 16  # of a token, a key or a chain of certificates
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> bytes:
    """Return a file that nobody else may open.

    Raises
    ------
    ConfigError
        If it is not there, too long, or others may open it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_BYTES + 1)
    except OSError as err:
        msg = f"cannot read {path}: {err.strerror}"
        raise ConfigError(msg) from err
    if mode & _OTHERS:
        msg = f"{path} can be opened by other users: chmod 600 {path}"
        raise ConfigError(msg)
    if len(content) > _MAX_BYTES:
        msg = f"{path} has more than {_MAX_BYTES} bytes: it is no token, key or chain"
        raise ConfigError(msg)
    return content


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises
    ------
    ConfigError
        If the file cannot be used, or holds none.
    """
    token = read_private(path).decode("ascii", "replace").strip()
    if len(token) < _TOKEN_BYTES or not token.isascii() or not token.isprintable():
        msg = f"{path} holds no token: delete it, and start the service again"
        raise ConfigError(msg)
    return token


def token_at(path: Path) -> str:
    """Return the token in a file, which is made if it is missing.

    Raises
    ------
    ConfigError
        If the file cannot be made or used.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as err:
        msg = f"cannot make the token file {path}: {err.strerror}"
        raise ConfigError(msg) from err
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
    return read_token(path)
