"""The data sets that come by name, and how their files are read.

Named in ``datasets.SOURCES``; each reader takes the ``data`` section and returns a data
set. Never downloads anything and never runs code from a data file.
"""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from fedask.common.errors import ConfigError, DataError
from fedask.common.sections import DataConfig
from fedask.simulations.data.datasets import Dataset, joined, numbered
from fedask.simulations.data.idx import decode_idx

_DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FASHION_MNIST_SHA256 = {
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
}

_IDX_NAMES = (  # file of samples or labels, number of axes
    ("train-images-idx3-ubyte", 3),
    ("train-labels-idx1-ubyte", 1),
    ("t10k-images-idx3-ubyte", 3),
    ("t10k-labels-idx1-ubyte", 1),
)
_NPZ_NAMES = ("x", "y", "x_test", "y_test")
_NPZ_FAULTS = (  # what numpy and zipfile raise on a damaged or hostile file
    OSError,
    EOFError,
    ValueError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def digits(config: DataConfig) -> Dataset:
    """Read the 8 x 8 scans that come with fedask; ``README.md`` beside says whose."""
    name = "digits.csv.gz"
    file = resources.files("fedask.simulations.data") / name
    try:
        raw = file.read_bytes()
        _verify(Path(name), raw, {name: _DIGITS_SHA256})
        text = gzip.decompress(raw).decode("ascii")
    except OSError as err:
        raise DataError(f"cannot read the digits from {file}: {err}") from err
    table = np.loadtxt(text.splitlines(), dtype=np.int64, delimiter=",")
    x = table[:, :-1].reshape(-1, 8, 8).astype(np.float32) / np.float32(16.0)
    return joined("digits", [x, table[:, -1]], numbered(10), config.test_share)


def fashion_mnist(config: DataConfig) -> Dataset:
    """Read the four original files, which must be exactly those."""
    origin = "; get the .gz files from https://github.com/zalandoresearch/fashion-mnist"
    folder = _existing_folder(config, origin)
    parts = _read_idx(folder, FASHION_MNIST_SHA256)
    return joined("fashion-mnist", parts, FASHION_MNIST_CLASSES, config.test_share)


def idx(config: DataConfig) -> Dataset:
    """Read four files named like those of MNIST, plain or packed."""
    folder = _existing_folder(config, "")
    parts = _read_idx(folder, _read_sums(folder / "SHA256SUMS"))
    return joined("idx", parts, None, config.test_share)


def _existing_folder(config: DataConfig, origin: str) -> Path:
    folder = Path(config.folder)
    if not config.folder or not folder.is_dir():
        where = f"at {folder}" if config.folder else "(FEDASK_DATA is not set)"
        raise DataError(
            f"no folder of {config.source} {where}: let data.folder name it, or "
            f"FEDASK_DATA the folder that holds {config.source!r}{origin}"
        )
    return folder


def _read_idx(folder: Path, sums: Mapping[str, str] | None) -> list[NDArray[np.uint8]]:
    """Read, verify and decode four files; the packed one where there are both."""
    parts = []
    for stem, axes in _IDX_NAMES:
        plain, packed = folder / stem, folder / f"{stem}.gz"
        path = plain if plain.is_file() and not packed.is_file() else packed
        raw = _read_bytes(path)
        if sums is not None:
            _verify(path, raw, sums)
        parts.append(decode_idx(raw, path.name, axes))
    return parts


def npz(config: DataConfig) -> Dataset:
    """Read ``x``, ``y`` and perhaps ``x_test``, ``y_test``, ``classes`` of a file."""
    if not config.folder:
        raise ConfigError("data.folder must name the .npz file")
    arrays = _read_npz(Path(config.folder))
    names = _NPZ_NAMES[: 4 if "x_test" in arrays or "y_test" in arrays else 2]
    if missing := [name for name in names if name not in arrays]:
        raise DataError(f"{config.folder} lacks {' and '.join(missing)}")
    classes = arrays.get("classes")
    if classes is not None and (classes.dtype.kind != "U" or classes.ndim != 1):
        raise DataError(
            f"{config.folder}: classes must be a row of text, not {classes.dtype}"
        )
    named = None if classes is None else tuple(classes.tolist())
    parts = [arrays[name] for name in names]
    return joined(Path(config.folder).name, parts, named, config.test_share)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the known arrays of a file; a pickle in it is refused, not run."""
    try:
        with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as npz:
            known = (*_NPZ_NAMES, "classes")
            return {name: np.asarray(npz[name]) for name in known if name in npz}
    except _NPZ_FAULTS as err:
        raise DataError(f"cannot read arrays from {path}: {err}") from err


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise DataError(f"cannot read {path}: {err}") from err


def _verify(path: Path, raw: bytes, sums: Mapping[str, str]) -> None:
    """Compare a file's SHA-256 with the one expected under its name."""
    expected = sums.get(path.name)
    if expected is None:
        raise DataError(f"no SHA-256 is known for {path}")
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise DataError(f"{path} has SHA-256 {found}, expected {expected}")


def _read_sums(path: Path) -> dict[str, str] | None:
    """Read a file as sha256sum writes it; None if there is none."""
    if not path.exists():
        return None
    sums = {}
    for line in _read_bytes(path).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition(" ")
        sums[name.strip().removeprefix("*")] = digest.lower()
    return sums
