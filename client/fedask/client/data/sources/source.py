"""What a device's owner may name as its data, and the table of kinds.

Called by the deployment with the node configuration, by ``joined`` with a table of a
TOML file. A kind is a reader, whose fields are the options of the kind.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import PACKED, File, suffix_of, walk
from fedask.client.data.sources.images import PILLOW_SUFFIXES, PNM_SUFFIXES
from fedask.client.data.sources.indexed_source import IndexedSource, ScanContext
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.sounds import SOUND_SUFFIXES
from fedask.client.records.pool import DataSource
from fedask.common.errors import DataError
from fedask.common.registry import nearest, resolve
from fedask.common.settings import Where, build

JOINED, SEALED = "joined", "sealed"
SOURCES = {
    "array": "fedask.client.data.sources.npy:ArrayReader",
    "images": "fedask.client.data.sources.images:ImageReader",
    "sounds": "fedask.client.data.sources.sounds:SoundReader",
    "documents": "fedask.client.data.sources.texts:DocumentReader",
    "texts": "fedask.client.data.sources.texts:TextReader",
    "windows": "fedask.client.data.sources.windows:WindowReader",
    "table": "fedask.client.data.sources.sqlite_table:TableReader",
    "parquet": "fedask.client.data.sources.parquet:ParquetReader",
    JOINED: "fedask.client.data.sources.joined_source:open_joined",
    SEALED: "fedask.client.data.sources.sealed_source:open_sealed",
}
OPTIONS = frozenset({"data", "kind", "watch", "show"})  # of every kind


def _rows(kind: str, *suffixes: str) -> dict[str, str]:
    """Return the kind of some suffixes, packed or not."""
    return dict.fromkeys([*suffixes, *(each + PACKED for each in suffixes)], kind)


# By suffix; a csv file is "texts" where a column is named, JSON is "windows" where
# columns are. In a folder, files that are
# a sample each come before files of many samples, which may be lists of labels.
_SINGLE = {
    **dict.fromkeys((*PILLOW_SUFFIXES, *PNM_SUFFIXES), "images"),
    **dict.fromkeys(SOUND_SUFFIXES, "sounds"),
    ".txt": "documents",
}
_MANY = {
    **_rows("windows", ".csv", ".tsv"),
    **_rows("texts", ".jsonl", ".ndjson"),
    ".db": "table",
    ".sqlite": "table",
    ".sqlite3": "table",
    ".parquet": "parquet",
    ".npz": "array",
    ".toml": JOINED,
}
_NOTES = _rows("texts", ".json")  # beside other data they are mostly about it


class KeyedSource(DataSource, Protocol):
    """A source whose samples may be parts of larger ones."""

    def keys(self) -> NDArray[np.uint64]:
        """Return what names each sample in the other parts: (n,) uint64, row by row."""


def open_source(
    options: Mapping[str, Any], look: ScanContext, where: Where | None = None
) -> DataSource:
    """Open the data of a device.

    Parameters
    ----------
    options
        ``data``, a file or folder; ``kind``, told from the path by default; ``watch``,
        whether files may still be growing; ``show``, for people (see ``shows``); and
        the options of the kind.
    look
        With the index, which must stay open. Its ``watch`` is replaced.
    where
        The table that the options stand in, for errors.

    Raises
    ------
    ConfigError
        If an option is unknown or wrong, or something is not installed.
    DataError
        If there is no sample, the kind is unknown or cannot be told.
    StoreError
        If the index cannot be used.
    """
    root = Path(str(options["data"]))
    kind = str(options["kind"]) if "kind" in options else kind_of(root, options)
    check_kind(kind)
    watch = options.get("watch", look.watch)
    if not isinstance(watch, bool):
        problem = f" = {watch!r} must be true or false"
        raise (where or Where()).error("watch", problem)
    look = dataclasses.replace(look, watch=watch)
    if kind == JOINED:
        build(_NoOptions, options, where, OPTIONS)
        source: DataSource = resolve("kind of data", kind, SOURCES)(root, look)
        return source
    if kind == SEALED:
        sealed: DataSource = resolve("kind of data", kind, SOURCES)(options, look)
        return sealed
    return IndexedSource(root, make_reader(kind, options, where), look)


def check_options(options: Mapping[str, Any], where: Where) -> None:
    """Refuse options that the kind of data does not have, as far as it is named.

    Not the options of a user's own kind, whose code may not be there yet; nor those of
    a kind that only the files tell. ``open_source`` refuses them.

    Raises
    ------
    ConfigError
        With file, table and key.
    DataError
        If there is no such kind.
    """
    kind = str(options.get("kind", ""))
    if kind in {"", SEALED} or ":" in kind:
        return
    check_kind(kind)
    if kind == JOINED:
        build(_NoOptions, options, where, OPTIONS)
    else:
        make_reader(kind, options, where)


@dataclasses.dataclass(frozen=True, slots=True)
class _NoOptions:
    """The options of data that are joined: each part has its own."""


def check_kind(kind: str) -> None:
    """Refuse a kind of data that is neither built in nor a user's own.

    Raises
    ------
    DataError
        With the nearest kind that there is.
    """
    if kind not in SOURCES and ":" not in kind:
        raise DataError(f"unknown kind of data {kind!r}" + nearest(kind, SOURCES))


def make_reader(
    kind: str, options: Mapping[str, Any], where: Where | None = None
) -> FormatReader:
    """Make the reader of a kind, with its options.

    Parameters
    ----------
    options
        Those of every kind, which others read, may be among them.

    Raises
    ------
    ConfigError
        If an option is unknown, of the wrong type or out of range.
    """
    reader: type[FormatReader] = resolve("kind of data", kind, SOURCES)
    return build(reader, options, where, OPTIONS)


def kind_of_suffix(suffix: str) -> str:
    """Return the kind of which one file is one sample, or "" if there is none."""
    return {**_SINGLE, ".npy": "images"}.get(suffix, "")


def kind_in_folders() -> dict[str, str]:
    """Return the kind of data of each suffix that a file of a folder may have."""
    kinds = {**_SINGLE, **_MANY, **_NOTES, ".npy": "images"}
    return {suffix: kind for suffix, kind in kinds.items() if kind != JOINED}


def kind_of(root: Path, options: Mapping[str, Any]) -> str:
    """Tell the kind of data from a file's suffix, or from the files of a folder.

    Raises
    ------
    DataError
        If there is nothing at ``root``, or its kind cannot be told: with the kinds
        there are.
    """
    suffixes, passed = Counter[str](), Counter[str]()
    if root.is_dir():
        wanted = frozenset(kind_in_folders())
        found = (e for e in walk(root, wanted, passed) if isinstance(e, File))
        suffixes.update(suffix_of(file.name) for file in found)
    else:
        suffixes[suffix_of(root.name)] = 1
        if not root.exists():
            raise DataError(
                f"cannot read samples from {root}: there is no such file or folder"
            )
    singles = {**_SINGLE, ".npy": "images" if root.is_dir() else "array"}
    for table in (singles, _MANY, _NOTES):
        kinds = {table[suffix] for suffix in suffixes if suffix in table}
        if kinds and kinds <= {"windows", "texts"}:
            if options.get("column"):
                return "texts"
            if any(options.get(name) for name in ("columns", "window")):
                return "windows"
        if len(kinds) == 1:
            return kinds.pop()
        if kinds:
            raise DataError(
                f"{root} holds data of several kinds: say kind= one of "
                + ", ".join(sorted(kinds))
            )
    held = ", ".join(f"{n} {what or 'other'}" for what, n in passed.most_common(5))
    raise DataError(
        f"cannot tell the kind of data in {root}"
        + (f", which holds {held}" if held else "")
        + ": say kind= one of "
        + ", ".join(sorted(SOURCES))
    )
