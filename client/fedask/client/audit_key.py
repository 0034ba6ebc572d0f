"""A key of the audit log in a file. Called by the deployment; never prints a key.

For a device without a better place for keys: a file is as safe as the folder it is in.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from fedask.client.audit import MIN_KEY_BYTES
from fedask.client.sources.files import BrokenSampleError, read_whole
from fedask.common.errors import ConfigError

MAX_KEY_BYTES = 1024


def file_key(path: Path, *, make: bool) -> bytes:
    """Return the bytes of a key file.

    Parameters
    ----------
    make
        Whether to make one that only this user may read, if there is none.

    Raises
    ------
    ConfigError
        If there is none, it is too short or too long, others may read it, or it cannot
        be read or made.
    """
    try:
        if make and not path.exists():
            _make(path)
        # Elsewhere than on POSIX, the mode says nothing.
        open_to_all = os.name == "posix" and path.stat().st_mode & 0o077
        # What the owner names may be a link, as mounted secrets are.
        key = read_whole(path.resolve(), MAX_KEY_BYTES)
    except (OSError, BrokenSampleError) as err:
        msg = f"cannot read the audit key {path}: {err}"
        raise ConfigError(msg) from err
    if open_to_all:
        msg = f"others may read the audit key {path}: chmod 600 it"
        raise ConfigError(msg)
    if len(key) < MIN_KEY_BYTES:
        msg = f"the audit key {path} has {len(key)} bytes, not {MIN_KEY_BYTES} or more"
        raise ConfigError(msg)
    return key


def _make(path: Path) -> None:
    """Write a new key under another name and link it: it is there whole, or not."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(MIN_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
