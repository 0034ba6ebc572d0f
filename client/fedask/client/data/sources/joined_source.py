"""Several fields as one sample: an image, its note, its readings.

A TOML file says what the parts are; each is a source of its own. Parts of one sample
share a name: the stem of a file, or the cell of an ``id`` column. ::

    [image]
    data = "scans"          # 0017.png
    [note]
    data = "notes.csv"
    id = "scan"             # 0017
    column = "text"

The raw form is a structured array: ``raw["image"]``, ``raw["note"]``. It is indexed,
copied and counted by row like any other, so that nothing between the source and the
task's transform knows of parts.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, read_whole
from fedask.client.data.sources.indexed_source import IndexedSource, ScanContext
from fedask.client.data.sources.source import JOINED, KeyedSource, open_source
from fedask.client.records.original import ONLY, Originals
from fedask.client.records.pool import DataSource
from fedask.client.records.provenance import (
    NamedSource,
    SampleName,
    SampleOrigin,
    TracedSource,
)
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid, bytes_uid
from fedask.common.settings import Where

MAX_TOML_BYTES = 1 << 16
_FEWEST = 2  # parts


class JoinedSource(DataSource):
    """Samples made of one sample of each part, matched by key.

    Its uid is a hash of the names and uids of the parts. What lacks a part, or has
    two of one, is set aside.

    Parameters
    ----------
    parts
        Name of a field to where it comes from.

    Raises
    ------
    DataError
        If no sample has all its parts.
    """

    def __init__(self, parts: Mapping[str, KeyedSource]) -> None:
        # By name: the order in which they were written is no part of a sample.
        self._parts = {name: parts[name] for name in sorted(parts)}
        keys = {name: part.keys() for name, part in self._parts.items()}
        once = {name: _unique_keys(column) for name, column in keys.items()}
        common, *others = (found for found, _ in once.values())
        for found in others:
            common = np.intersect1d(common, found, assume_unique=True)
        rows = {}
        for name, (found, at) in once.items():
            rows[name] = at[np.searchsorted(found, common)]
        first = next(iter(rows.values()))
        order = np.argsort(first)  # as the first part's rows stand, to read in order
        self._rows = {name: column[order] for name, column in rows.items()}
        self._twice = {n: len(keys[n]) - len(found) for n, (found, _) in once.items()}
        self._alone = {n: len(found) - len(common) for n, (found, _) in once.items()}
        if not len(common):
            raise DataError("no sample has all its parts: " + ", ".join(self._parts))
        self._uids = self._named()

    def _named(self) -> NDArray[np.str_]:
        """Name each sample by its parts."""
        columns = [p.uids()[self._rows[name]] for name, p in self._parts.items()]
        uids = np.empty(len(columns[0]), dtype="<U32")
        for row, parts in enumerate(zip(*columns, strict=True)):
            text = " ".join(
                f"{n}:{uid}" for n, uid in zip(self._parts, parts, strict=True)
            )
            uids[row] = bytes_uid(text.encode())
        return uids

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    def origins(self) -> list[SampleOrigin]:
        """Return where the samples of each part stand."""
        return [
            origin.at(self._rows[name])
            for name, part in self._parts.items()
            if isinstance(part, TracedSource)
            for origin in part.origins()
        ]

    def names(self, wanted: Collection[Uid]) -> dict[Uid, SampleName]:
        """Return what the parts of these samples are known by: the first that is."""
        found: dict[Uid, SampleName] = {}
        rows = np.flatnonzero(np.isin(self._uids, list(wanted)))
        whole = [Uid(uid) for uid in self._uids[rows].tolist()]
        for name, part in self._parts.items():
            if not isinstance(part, NamedSource):
                continue
            uids = [Uid(u) for u in part.uids()[self._rows[name][rows]].tolist()]
            named = part.names(set(uids))
            for uid, own in zip(whole, uids, strict=True):
                if own in named:
                    found.setdefault(uid, named[own])
        return found

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        columns = {
            name: part.load(self._rows[name][rows])
            for name, part in self._parts.items()
        }
        fields = [(name, raw.dtype, raw.shape[1:]) for name, raw in columns.items()]
        batch = np.empty(len(rows), dtype=fields)
        for name, raw in columns.items():
            batch[name] = raw
        return batch

    @override
    def originals(self, row: int, side: int) -> Originals:
        return {
            name: part.originals(int(self._rows[name][row]), side)[ONLY]
            for name, part in self._parts.items()
        }

    @override
    def broken(self) -> list[Broken]:
        broken = []
        for name, part in self._parts.items():
            broken += [Broken(f"{name}: {b.name}", b.reason) for b in part.broken()]
            for count, reason in (
                (self._alone[name], "without a partner in each other part"),
                (self._twice[name], "each under a name that another has, too"),
            ):
                if count:
                    broken.append(Broken(f"{name}: {count} samples", reason))
        return broken

    @override
    def notes(self) -> list[str]:
        parts = self._parts.items()
        return [f"{name}: {note}" for name, part in parts for note in part.notes()]


def _unique_keys(
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the keys that occur once, ascending, and their rows."""
    found, at, counts = np.unique(keys, return_index=True, return_counts=True)
    return found[counts == 1], at[counts == 1]


def open_joined(path: Path, look: ScanContext) -> JoinedSource:
    """Open the parts that a TOML file names.

    Parameters
    ----------
    path
        The file: a table per part, with the options of ``open_source``. A relative
        ``data`` is looked for beside the file.

    Raises
    ------
    ConfigError
        If the file is no TOML, or names fewer than two parts.
    DataError, StoreError
        If it cannot be read, or from the parts.
    """
    parts = joined_parts(path)
    return JoinedSource({n: _part(path, n, part, look) for n, part in parts.items()})


def joined_parts(path: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each part that a TOML file names, its ``data`` absolute.

    Raises
    ------
    ConfigError
        If the file is no TOML, names fewer than two parts, or one that cannot be.
    DataError
        If it cannot be read.
    """
    try:
        tables = tomllib.loads(read_whole(path, MAX_TOML_BYTES).decode())
    except (OSError, BrokenSampleError) as err:
        raise DataError(f"cannot read samples from {path}: {err}") from err
    except ValueError as err:
        raise ConfigError(f"{path} is no TOML: {err}") from err
    if len(tables) < _FEWEST:
        raise ConfigError(f"{path} must have a table for each of at least two parts")
    return {name: _options(path, name, table) for name, table in tables.items()}


def _options(path: Path, name: str, table: object) -> dict[str, Any]:
    if not isinstance(table, dict) or "data" not in table:
        raise ConfigError(f"{path}: [{name}] has no data")
    if not name.isidentifier():
        raise ConfigError(f"{path}: {name!r} is no name for a field")
    if table.get("kind") == JOINED or str(table["data"]).endswith(".toml"):
        raise ConfigError(f"{path}: [{name}] cannot be joined itself")
    return {**table, "data": str(path.resolve().parent / str(table["data"]))}


def _part(
    path: Path, name: str, options: Mapping[str, Any], look: ScanContext
) -> KeyedSource:
    source = open_source(options, look, Where(path, name))
    if not isinstance(source, IndexedSource):  # for the types: there is no other
        raise ConfigError(f"{path}: [{name}] cannot be a part")
    return source
