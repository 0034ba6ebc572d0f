"""The arrays of a model by name: checked, named by content, as bytes for a file.

Used by both halves and by the stores. Knows numpy alone: neither torch nor Flower,
which a command of a device need not load to read its store.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ProtocolError
from fedask.common.ids import ModelVersion

Arrays = Mapping[str, NDArray[Any]]

MAX_VALUE = 65_536.0  # largest magnitude accepted; a sane model is far below


def check_values(arrays: Arrays) -> None:
    """Refuse values that no sane model has.

    Raises
    ------
    ProtocolError
        Naming the first array with NaN, infinity or a value beyond 65536 in magnitude.
    """
    for name, values in arrays.items():
        if not _is_sane(values):
            raise ProtocolError(
                f"array {name!r:.80} holds NaN, infinity or values beyond {MAX_VALUE:g}"
            )


def _is_sane(values: NDArray[Any]) -> bool:
    if not values.size:
        return True
    # Not abs: that of the lowest int64 is negative. NaN fails the comparison too.
    return max(float(values.max()), -float(values.min())) <= MAX_VALUE


def to_bytes(arrays: Arrays) -> bytes:
    """Encode arrays by name, for a file or a store: an ``.npz`` archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # names are free
    return buffer.getvalue()


def from_bytes(encoded: bytes) -> dict[str, NDArray[Any]]:
    """Decode what ``to_bytes`` gave; never a pickle."""
    with np.load(io.BytesIO(encoded), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def model_version(arrays: Arrays) -> ModelVersion:
    """Name a model by its content, so that a cut cannot meet the wrong scores."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}\x1f{array.dtype.str}\x1f{array.shape}\x1f".encode())
        digest.update(array.data)
    return ModelVersion(digest.hexdigest())
