"""Labelled data sets for simulated fleets, checked before anyone uses them.

Called by the simulation runtimes once per process; a deployed device never comes here.
What a source's files hold is read by ``readers``. Letters: n samples, c classes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import stable_seed
from fedask.common.registry import resolve
from fedask.common.sections import DataConfig
from fedask.common.user_code import user_code

SOURCES = {
    "digits": "fedask.simulations.data.readers:digits",
    "fashion-mnist": "fedask.simulations.data.readers:fashion_mnist",
    "idx": "fedask.simulations.data.readers:idx",
    "npz": "fedask.simulations.data.readers:npz",
}

_MAX_CLASSES = 65_536  # that labels alone may imply; more must be named

_Pair = tuple[NDArray[Any], NDArray[Any]]

_SPLIT_SEED = stable_seed("test split")  # one for all runs, see load_dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Training samples for the fleet and test samples for the server, read-only.

    Parameters
    ----------
    train_x
        (n, ...) raw samples of any dtype but object; floats are finite.
    train_y
        (n,) int64 in [0, c); entry i is the label of ``train_x[i]``.
    test_x
        Held-out samples; each has the shape of a training sample.
    test_y
        Their labels, like ``train_y``.
    classes
        c names; a label is an index into them.

    Raises
    ------
    DataError
        If a part is empty, its lengths differ, the samples of the parts differ in
        shape, a label is not a class, or a number is not finite. The first offending
        row is named.
    """

    name: str
    train_x: NDArray[Any]
    train_y: NDArray[np.int64]
    test_x: NDArray[Any]
    test_y: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            _check(f"{self.name}: {part}", x, y, len(self.classes))
            # One data set serves a whole process: nobody may write to it.
            object.__setattr__(self, f"{part}_x", _read_only(x))
            object.__setattr__(self, f"{part}_y", _read_only(y.astype(np.int64)))
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise DataError(
                f"{self.name}: training samples have shape {self.train_x.shape[1:]}, "
                f"test samples {self.test_x.shape[1:]}"
            )


def load_dataset(config: DataConfig, seed: int) -> Dataset:
    """Read a data set, once per process and arguments.

    Parameters
    ----------
    config
        ``source`` is a key of ``SOURCES`` or ``package.module:attr`` of a function
        without arguments, which returns a ``Dataset``, ``(x, y)``, or
        ``(x_train, y_train, x_test, y_test)``. An empty ``folder`` stands for
        ``$FEDASK_DATA/<source>``.
    seed
        Of the run. It draws the subset of ``limit`` samples and nothing else.

    Returns
    -------
    Dataset
        The same object for the same arguments.

    Raises
    ------
    ConfigError
        If the source is unknown (the nearest one is named), or the folder is no path.
    DataError
        If files are missing, damaged, or not what they claim to be.

    Notes
    -----
    Where a source has no test part of its own, ``test_share`` of every class is held
    out by a fixed seed that no scenario can change. Runs that differ in ``seed`` are
    therefore measured on the same test samples.
    """
    return _limited(_located(config), seed)


def _located(config: DataConfig) -> DataConfig:
    """Make ``folder`` absolute, so that the cache follows FEDASK_DATA."""
    root = os.environ.get("FEDASK_DATA", "")
    folder = config.folder or (root and str(Path(root) / config.source))
    if not folder or config.source not in {"fashion-mnist", "idx", "npz"}:
        return replace(config, folder="")
    try:
        return replace(config, folder=str(Path(folder).expanduser().resolve()))
    except (OSError, RuntimeError, ValueError) as err:
        raise ConfigError(f"data.folder = {folder!r} is no path: {err}") from err


@lru_cache(maxsize=1)  # a copy for every seed: the last one is enough
def _limited(config: DataConfig, seed: int) -> Dataset:
    """Keep ``limit`` training samples, all classes in proportion."""
    whole = _whole(replace(config, limit=0))
    if not 0 < config.limit < len(whole.train_y):
        return whole
    rng = np.random.default_rng(stable_seed("limit", seed))
    rows = _stratified(whole.train_y, config.limit, rng)
    return replace(whole, train_x=whole.train_x[rows], train_y=whole.train_y[rows])


@lru_cache(maxsize=1)
def _whole(config: DataConfig) -> Dataset:
    """Read all of a source; seeds share what this returns."""
    read = resolve("data source", config.source, SOURCES)
    if config.source in SOURCES:
        dataset: Dataset = read(config)
        return dataset
    return _from_user(config, read)


def _from_user(config: DataConfig, read: object) -> Dataset:
    """Call a user's own function and take one of the three things it may return."""
    if not callable(read):
        raise ConfigError(
            f"data source {config.source!r} must be a function without arguments"
        )
    what = f"data source {config.source!r}"
    with user_code(what, read):
        given = read()
    match given:
        case Dataset() as dataset:
            return dataset
        case ((_, _) | (_, _, _, _)) as parts:
            return joined(config.source, list(parts), None, config.test_share)
        case other:
            raise DataError(
                f"{what} returned {type(other).__name__}, not a "
                "Dataset, (x, y) or (x_train, y_train, x_test, y_test)"
            )


def joined(
    name: str,
    parts: Sequence[object],
    classes: tuple[str, ...] | None,
    test_share: float,
) -> Dataset:
    """Make a data set of (x, y) or (train x, train y, test x, test y).

    Parameters
    ----------
    parts
        Arrays, or what numpy makes one of.
    classes
        Their names; None: numbered up to the highest label.
    test_share
        Of every class, held out if there is no test part.

    Raises
    ------
    ConfigError
        If numpy cannot take a part: a tensor that needs a gradient, or lies elsewhere.
    DataError
        As ``Dataset``.
    """
    with user_code(f"{name}: making arrays of samples and labels"):
        try:
            arrays = [np.asarray(part) for part in parts]
        except ValueError as err:
            raise DataError(
                f"{name}: samples and labels must be arrays: {err}"
            ) from err
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    wheres = [name] if len(pairs) == 1 else [f"{name}: train", f"{name}: test"]
    limit = _MAX_CLASSES if classes is None else len(classes)
    for where, (x, y) in zip(wheres, pairs, strict=True):
        _check(where, x, y, limit)
    if classes is None:
        classes = numbered(1 + max(int(y.max()) for _, y in pairs))
    if len(pairs) == 1:
        pairs = _split(*pairs[0], test_share)
    (x, y), (test_x, test_y) = pairs
    return Dataset(
        name=name, train_x=x, train_y=y, test_x=test_x, test_y=test_y, classes=classes
    )


def _split(x: NDArray[Any], y: NDArray[Any], test_share: float) -> list[_Pair]:
    """Hold out a share of every class, the same rows whatever the run's seed."""
    rng = np.random.default_rng(_SPLIT_SEED)
    held = np.zeros(len(y), dtype=np.bool_)
    held[_stratified(y, max(1, round(len(y) * test_share)), rng)] = True
    return [(x[~held], y[~held]), (x[held], y[held])]


def _check(where: str, x: NDArray[Any], y: NDArray[Any], num_classes: int) -> None:
    """Refuse samples and labels that do not fit each other or the classes."""
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise DataError(
            f"{where} has samples of shape {x.shape} for labels of shape {y.shape}; "
            "it needs one label for each of one or more samples"
        )
    if y.dtype.kind not in "iu" or x.dtype.kind == "O":
        raise DataError(
            f"{where} has samples of type {x.dtype} and labels of type {y.dtype}; "
            "labels must be integers, samples anything but objects"
        )
    if (outside := (y < 0) | (y >= num_classes)).any():
        row = int(outside.argmax())
        raise DataError(
            f"{where} row {row} has label {y[row]}, not one of {num_classes} classes"
        )
    if x.dtype.kind in "fc" and not (finite := np.isfinite(x)).all():
        row = int(finite.reshape(len(x), -1).all(axis=1).argmin())
        raise DataError(
            f"{where} row {row} holds NaN or infinity: fill it in, or leave the row out"
        )


def _stratified(
    labels: NDArray[Any], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw ``count`` rows with every class in proportion; ascending.

    The r-th of a class's s shuffled rows comes at (r + 1/2) / s: the method of Webster
    and Sainte-Lague, so a smaller draw is part of a larger one.
    """
    _, groups, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = (np.arange(len(labels)) - first + 0.5) / np.repeat(sizes, sizes)
    return np.sort(order[np.argsort(turn, kind="stable")[:count]])


def numbered(count: int) -> tuple[str, ...]:
    """Name classes by their numbers from 0."""
    return tuple(str(label) for label in range(count))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
