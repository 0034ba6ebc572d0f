"""A key of the audit log in a file of its own. Called by the store's settings.

For sites that keep it elsewhere than the device's key. Never makes or prints one.
"""

import os
from pathlib import Path

from fedask.client.base.regular_file import BrokenSampleError, read_whole
from fedask.client.store.audit.hash_chain import MIN_KEY_BYTES
from fedask.common.errors import ConfigError

MAX_KEY_BYTES = 1024


def file_key(path: Path) -> bytes:
    """Return the bytes of a key file.

    Raises
    ------
    ConfigError
        If there is none, it is too short or too long, others may read it, or it cannot
        be read.
    """
    try:
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
