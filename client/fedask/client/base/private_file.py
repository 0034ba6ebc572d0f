"""Reads and writes files that other users of the machine must not read.

Called by whoever keeps keys, tokens, logins or databases, and by exports.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from fedask.common.errors import ConfigError, StoreError

OURS = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@contextmanager
def made_private(path: Path) -> Iterator[None]:
    """Let nobody but the owner read a database that is made meanwhile, nor its WAL.

    By name: a process that opened the file beside SQLite, and closed it again, would
    release the locks of all its connections to it (POSIX), and answers would be lost.
    """
    is_new = not path.exists()
    yield
    if is_new:
        path.chmod(OURS)


def read_private(path: Path, what: str, max_bytes: int) -> bytes:
    """Return a file that nobody else may open.

    Parameters
    ----------
    what
        Is in it; for messages.
    max_bytes
        A longer one is refused.

    Raises
    ------
    ConfigError
        If it is not there, too long, or others may open it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(max_bytes + 1)
    except OSError as err:
        raise ConfigError(f"cannot read {what} in {path}: {err.strerror}") from err
    # Elsewhere than on POSIX, the mode says nothing.
    if os.name == "posix" and mode & _OTHERS:
        raise ConfigError(f"others may read {what} in {path}: chmod 600 {path}")
    if len(content) > max_bytes:
        raise ConfigError(
            f"{path} has more than {max_bytes} bytes, too many for {what}"
        )
    return content


def write_private(path: Path, pieces: Iterable[bytes], *, new: bool = False) -> None:
    """Write a file for its owner alone; what stood there stays until all is written.

    Parameters
    ----------
    path
        Its folder is made if it is missing.
    new
        Whether there must be no such file yet. One that cannot be written whole is not
        there afterwards either, and nobody ever sees half of it.

    Raises
    ------
    StoreError
        If the disk refuses.
    FileExistsError
        If it must be new and is not.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            if new:
                os.link(name, path)  # unlike a rename, refuses to overwrite
            else:
                os.replace(name, path)  # noqa: PTH105  (beside os.link)
            _sync_folder(path.parent)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as err:
        if new and isinstance(err, FileExistsError):
            raise
        raise StoreError(f"cannot write {path}: {err}") from err


def _sync_folder(folder: Path) -> None:
    """Wait until a new file name is on the disk; Windows needs no such call."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
