"""Reads private keys and the token of a loopback port from their owner's files.

Called by the server and the client before anything is listened to or sent.
"""

import secrets
from contextlib import suppress
from pathlib import Path

from fedask.client.base.private_file import read_private, write_private
from fedask.common.errors import ConfigError

_TOKEN_BYTES = 32
_MAX_BYTES = 1 << 16  # of a token or a key


def read_pem(key: Path, *certificates: Path) -> list[bytes]:
    """Return a private key and certificates.

    Raises
    ------
    ConfigError
        If a file cannot be used, or others may read the key.
    """
    try:
        contents = [path.read_bytes() for path in certificates]
    except OSError as err:
        raise ConfigError(f"cannot read a certificate: {err}") from err
    return [read_private(key, "the private key", _MAX_BYTES), *contents]


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises
    ------
    ConfigError
        If the file cannot be used, or holds none.
    """
    token = (
        read_private(path, "the token", _MAX_BYTES).decode("ascii", "replace").strip()
    )
    if len(token) < _TOKEN_BYTES or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"{path} holds no token: delete it, and start the service again"
        )
    return token


def token_at(path: Path) -> str:
    """Return the token in a file; make the file if it is missing.

    Raises
    ------
    ConfigError
        If the file cannot be used.
    StoreError
        If it cannot be made.
    """
    if not path.exists():
        token = secrets.token_urlsafe(_TOKEN_BYTES) + "\n"
        with suppress(FileExistsError):  # another process made it meanwhile
            write_private(path, [token.encode()], new=True)
    return read_token(path)
