"""The server's files: history, checkpoint, result. Called by the ServerApp.

A checkpoint replaces the one before it in a single rename, after it is on the disk: a
run that is killed at any moment resumes from the last whole round. No pickle anywhere.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fedask.common.arrays import Arrays, to_bytes
from fedask.common.errors import ConfigError, StoreError
from fedask.common.weights import to_record

SCHEMA = 1
CHECKPOINT = "checkpoint.npz"
HISTORY = "history.jsonl"
SERVER = "server.json"
MODEL = "model.npz"
# What reading a file that is cut short, or not an archive at all, can raise.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One saved state.

    Parameters
    ----------
    arrays
        The global model.
    progress
        From ``Progress.to_state``.
    rows
        The history so far.
    inner
        Arrays of the inner strategy, such as Adam's moments.
    predictions
        (n,) classes that the last evaluated model gave its samples, if it was asked.
    """

    arrays: Arrays
    progress: Mapping[str, Any]
    rows: list[dict[str, Any]]
    inner: Arrays
    predictions: NDArray[Any] | None = None


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path
        Made if missing.
    fingerprint
        The settings that decide the run; a checkpoint of other settings is refused.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any]) -> None:
        self._path = path
        self._fingerprint = dict(fingerprint)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"cannot make the folder {path}: {err}") from err

    def begin(self) -> None:
        """Begin the history anew: rows of an earlier run are not this one's past."""
        try:
            (self._path / HISTORY).unlink(missing_ok=True)
        except OSError as err:
            raise StoreError(f"cannot delete {self._path / HISTORY}: {err}") from err

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line to the history, which progress displays read."""
        try:
            with (self._path / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as err:
            raise StoreError(f"cannot write {self._path / HISTORY}: {err}") from err

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""
        meta: dict[str, Any] = {
            "schema": SCHEMA,
            "scenario": self._fingerprint,
            "progress": checkpoint.progress,
            "rows": checkpoint.rows,
        }
        named = {f"model/{k}": v for k, v in checkpoint.arrays.items()}
        named |= {f"inner/{k}": v for k, v in checkpoint.inner.items()}
        if checkpoint.predictions is not None:
            named["predictions"] = checkpoint.predictions
        # The archive's checksums do not cover the names in its directory.
        meta["names"] = sorted(named)
        encoded = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        write_npz(self._path / CHECKPOINT, {"meta": encoded, **named})

    def load(self) -> Checkpoint | None:
        """Return the checkpoint, or None if there is none; trims the history to it.

        Raises
        ------
        ConfigError
            If it was written by other settings.
        StoreError
            If it is damaged.
        """
        path = self._path / CHECKPOINT
        if not path.exists():
            self.begin()
            return None
        try:
            stored = _read_npz(path)
            meta = json.loads(stored.pop("meta").tobytes())
            if meta.pop("names") != sorted(stored):
                raise ValueError("its arrays are not those that were written")
        except _DAMAGE as err:
            raise StoreError(f"the checkpoint {path} is damaged: {err}") from err
        self._check(meta)
        rows = list(meta["rows"])
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        replace_file(self._path / HISTORY, lines.encode())
        return Checkpoint(
            arrays=_named(stored, "model/"),
            progress=meta["progress"],
            rows=rows,
            inner=_named(stored, "inner/"),
            predictions=stored.get("predictions"),
        )

    def _check(self, meta: Mapping[str, Any]) -> None:
        if meta["schema"] != SCHEMA:
            raise ConfigError(
                f"checkpoint of schema {meta['schema']}, this fedask knows {SCHEMA}"
            )
        before = meta["scenario"]
        changed = sorted(
            key
            for key in {*before, *self._fingerprint}
            if before.get(key) != self._fingerprint.get(key)
        )
        if changed:
            raise ConfigError(
                f"cannot resume with other settings: {', '.join(changed[:5])} changed"
            )

    def finish(self, arrays: Arrays, server: Mapping[str, Any]) -> None:
        """Write the final model and the server's account of the run."""
        write_npz(self._path / MODEL, arrays)
        replace_file(
            self._path / SERVER, (json.dumps(server, indent=1) + "\n").encode()
        )


def inner_state(inner: Strategy) -> dict[str, NDArray[Any]]:
    """Return the arrays that a Flower strategy keeps between rounds, by dotted name.

    Flower's strategies keep them as attributes: a number changes never; a dict or a
    list of arrays, or an ArrayRecord (momenta, last model), every round. The name is
    ``attribute/kind/key``.
    """
    return {
        f"{name}/{kind}/{key}": array
        for name, value in vars(inner).items()
        for kind, key, array in _arrays_in(value)
    }


def _arrays_in(value: object) -> list[tuple[str, str, NDArray[Any]]]:
    """List (kind, key, array) of an attribute; nothing if it holds anything else."""
    if isinstance(value, ArrayRecord):
        return [("record", key, array.numpy()) for key, array in value.items()]
    kind = "list" if isinstance(value, list) else "dict"
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    if not all(isinstance(item, np.ndarray) for _, item in items):
        return []
    return [(kind, str(key), item) for key, item in items]


def restore_inner(inner: Strategy, arrays: Arrays) -> None:
    """Put back what ``inner_state`` returned."""
    tables: dict[tuple[str, str], dict[str, NDArray[Any]]] = {}
    for dotted, array in arrays.items():
        name, kind, key = dotted.split("/", 2)
        tables.setdefault((name, kind), {})[key] = array
    for (name, kind), table in tables.items():
        restored: object = table
        if kind == "list":
            restored = list(table.values())
        elif kind == "record":
            restored = to_record(table)
        setattr(inner, name, restored)


def _named(stored: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): array
        for name, array in stored.items()
        if name.startswith(prefix)
    }


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read arrays by name, after every checksum was found right."""
    with zipfile.ZipFile(path) as archive:
        wrong = archive.testzip()
    if wrong is not None:
        raise ValueError(f"the checksum of {wrong!r} is wrong")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write arrays by name, replacing the file in one step."""
    replace_file(path, to_bytes(arrays))


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new one whole.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as err:
        raise StoreError(f"cannot write {path}: {err}") from err
