"""Opens a file of an import, up to a size. Called by the imports; never writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fedask.common.errors import DataError


@contextmanager
def open_capped(path: Path, most: int) -> Iterator[BinaryIO]:
    """Open a file for reading, if it is no larger than ``most`` bytes.

    Raises
    ------
    DataError
        If it cannot be opened or read, is no plain file, or is larger.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path} is no file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise DataError(
                    f"{path} has {size} bytes, more than the {most} that may be read"
                    ": part it"
                )
            yield file
    except OSError as err:
        raise DataError(f"cannot read {path}: {err}") from err
