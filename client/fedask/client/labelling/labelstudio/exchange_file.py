"""Files that are exchanged: written whole or not at all, read up to a size.

Called by exports and imports. What is written here leaves the device's sealed store:
nobody but its owner may read it.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from fedask.common.errors import DataError, StoreError


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file for the owner alone; what stood there stays until all is written.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as err:
        msg = f"cannot write {path}: {err}"
        raise StoreError(msg) from err


def open_capped(path: Path, most: int) -> BinaryIO:
    """Open a file for reading, if it is no larger than ``most`` bytes.

    Raises
    ------
    DataError
        If it cannot be opened, is no plain file, or is larger.
    """
    try:
        if not path.is_file():
            msg = f"{path} is no file"
            raise DataError(msg)
        file = path.open("rb")
    except OSError as err:
        msg = f"cannot read {path}: {err}"
        raise DataError(msg) from err
    size = os.fstat(file.fileno()).st_size
    if size > most:
        file.close()
        msg = f"{path} has {size} bytes, more than the {most} that may be read: part it"
        raise DataError(msg)
    return file


def read_capped(path: Path, most: int) -> bytes:
    """Read a whole file of at most ``most`` bytes.

    Raises
    ------
    DataError
        As ``open_capped``.
    """
    with open_capped(path, most) as file:
        try:
            content = file.read(most + 1)
        except OSError as err:
            msg = f"cannot read {path}: {err}"
            raise DataError(msg) from err
    if len(content) > most:
        msg = f"{path} grew beyond {most} bytes while it was read"
        raise DataError(msg)
    return content
