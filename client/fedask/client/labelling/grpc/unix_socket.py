"""The socket file of a service: in a private folder, one service at a time.

Called by the server around its life. gRPC makes the file itself, with whatever mode
the process happens to give; until that is mended the folder keeps others out.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedask.common.errors import ConfigError, UnavailableError

_PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


@contextmanager
def private_socket(path: Path) -> Iterator[None]:
    """Reserve the path of a socket for this service until the block ends.

    Raises
    ------
    ConfigError
        If the folder is not this user's alone, or something else is at the path.
    UnavailableError
        If another service is there.
    """
    _check_folder(path.parent)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise ConfigError(
            f"{path} is there, and no socket: move it away, or choose another address"
        )
    lock = path.with_name(path.name + ".lock")
    handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise UnavailableError(f"another service listens at {path}") from err
        yield  # gRPC removes the socket of a service that was killed
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        found = folder.stat()
    except OSError as err:
        raise ConfigError(
            f"cannot use the folder {folder} for a socket: {err.strerror}"
        ) from err
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"the folder {folder} of the service's socket must be yours alone: "
            f"chmod 700 {folder}, or choose another"
        )
