"""Files that are no business of other users of the machine. Called by their makers."""

import os
from pathlib import Path

from fedask.common.errors import StoreError


def make_private(path: Path) -> None:
    """Make a file for its owner alone, if there is none; its WAL is made alike.

    Raises
    ------
    StoreError
        If it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as err:
        msg = f"cannot make {path}: {err.strerror}"
        raise StoreError(msg) from err
