"""Reads the provenance of samples: ``provenance.csv`` beside them, and defaults.

Called by ``sample_rights`` when a device is opened. ::

    file,source,licence,consent,purpose,until
    0017.png,ward 3,hospital-internal,yes,research,2027-12-31
    0018.png,ward 3,hospital-internal,withdrawn,research,
    *,ward 3,hospital-internal,,research,never

A row is about the samples of one ``file`` (as seen from the folder of the csv file),
about the sample of one ``id`` (as for joined data: the file without its suffix, or a
cell) or ``uid``; ``*`` as the file is about all that the folder, and those below it,
hold. What says more about a sample wins: uid over id over file over what the source
itself says over ``*`` over the defaults, and at the same level the deeper folder.
A column that a file does not have is filled from what is said otherwise; an empty cell
is not: somebody looked, and did not know.

A file that cannot be read to its end is refused whole: half of a list of withdrawals
is worse than none.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import SIDECAR, BrokenSampleError
from fedask.client.data.sources.reader import key_of
from fedask.client.data.sources.row_reader import open_csv
from fedask.client.records.pool import DataSource
from fedask.client.records.provenance import (
    FIELDS,
    DescribedSource,
    Provenance,
    SampleOrigin,
    TracedSource,
    parse_fields,
)
from fedask.common.errors import DataError
from fedask.common.registry import nearest

MAX_ROWS = 5_000_000  # of one file
KEYS = ("file", "id", "uid")  # columns that say what a row is about

_Fields = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StatedProvenance:
    """The provenance of n samples; each distinct one is stored once.

    Parameters
    ----------
    kind_of
        (n,) the place in ``kinds`` of each sample's.
    idle
        Rows that are about no sample: it is gone, or its name is misspelt.
    """

    kinds: list[Provenance]
    kind_of: NDArray[np.int32]
    idle: int = 0


@dataclass(slots=True)
class _StatementFile:
    """The rows of one ``provenance.csv``, by the sample or file that they name."""

    folder: str  # below the origin's, with slashes; "" is the origin's own
    folder_wide: _Fields | None = None
    statements: list[_Fields] = field(default_factory=list)  # each distinct text once
    # Key to name to the place of its statement.
    place_of: dict[str, dict[str, int]] = field(
        default_factory=lambda: {key: {} for key in KEYS}
    )
    codes: dict[tuple[str, ...], int] = field(default_factory=dict)


def stated_provenance(
    source: DataSource, defaults: Provenance
) -> list[StatedProvenance]:
    """Collect what is stated about the samples of a source.

    Returns
    -------
    list
        One for each part of a joined source, one for any other. What is done with a
        sample must be right by all of them.

    Raises
    ------
    DataError
        Naming the file and the line that cannot be understood.
    """
    origins = source.origins() if isinstance(source, TracedSource) else []
    if not origins:
        table = _ProvenanceTable(len(source.uids()), defaults)
        _add_described(table, source)
        return [table.stated()]
    collected = []
    for origin in origins:
        files = _read_files(origin)
        table = _ProvenanceTable(len(origin.uids), defaults)
        _add_folder_wide(table, origin, files)
        _add_described(table, source)
        idle = _add_rows(table, origin, files)
        if idle:
            _log.warning(
                "%s in %s: %d rows are about no sample", SIDECAR, origin.folder, idle
            )
        collected.append(table.stated(idle))
    return collected


class _ProvenanceTable:
    """Collects provenance row by row; later statements replace earlier ones."""

    def __init__(self, count: int, defaults: Provenance) -> None:
        self._codes = {defaults: 0}
        self._kinds = [defaults]
        self._kind_of = np.zeros(count, dtype=np.int32)

    def add(self, statements: Sequence[_Fields], which: NDArray[np.int64]) -> None:
        """Add statements about samples; fields that a statement lacks stay as they are.

        Parameters
        ----------
        which
            (n,) the place in ``statements`` of each sample's; -1: none.
        """
        rows = np.flatnonzero(which >= 0)
        # Each pair of what was known and what is said is worked out once.
        pairs = self._kind_of[rows].astype(np.int64) * len(statements) + which[rows]
        distinct, pair_of = np.unique(pairs, return_inverse=True)
        codes = np.zeros(len(distinct), dtype=np.int32)
        for place, pair in enumerate(distinct.tolist()):
            old, new = divmod(pair, len(statements))
            known = replace(self._kinds[old], **statements[new])
            codes[place] = self._codes.setdefault(known, len(self._kinds))
            if codes[place] == len(self._kinds):
                self._kinds.append(known)
        self._kind_of[rows] = codes[pair_of]

    def stated(self, idle: int = 0) -> StatedProvenance:
        return StatedProvenance(self._kinds, self._kind_of, idle)


def _add_described(table: _ProvenanceTable, source: DataSource) -> None:
    """Add the provenance that the source itself states."""
    if not isinstance(source, DescribedSource):
        return
    for name, column in source.described().items():
        if name not in FIELDS:
            raise DataError(f"the data brings a field {name!r}" + nearest(name, FIELDS))
        texts, which = np.unique(column, return_inverse=True)
        table.add([parse_fields({name: text}) for text in texts.tolist()], which)


def _add_folder_wide(
    table: _ProvenanceTable, origin: SampleOrigin, files: Sequence[_StatementFile]
) -> None:
    for file in files:
        if file.folder_wide is not None:
            inside = _scope(origin, file.folder)
            table.add([file.folder_wide], np.where(inside, 0, -1))


def _add_rows(
    table: _ProvenanceTable, origin: SampleOrigin, files: Sequence[_StatementFile]
) -> int:
    """Add rows about single samples; returns how many rows match no sample."""
    idle = 0
    for key in KEYS:
        for file in files:
            place_of = file.place_of[key]
            if not place_of:
                continue
            names = list(place_of)
            which = _matches(origin, key, file.folder, names)
            which[~_scope(origin, file.folder)] = -1
            idle += len(names) - len(np.unique(which[which >= 0]))
            # The last one stands for -1, which it is put back to.
            code_of = np.array([*place_of.values(), -1], dtype=np.int64)
            table.add(file.statements, code_of[which])
    return idle


def _matches(
    origin: SampleOrigin, key: str, folder: str, names: Sequence[str]
) -> NDArray[np.int64]:
    """Return the place in ``names`` of each sample, (n,); -1: it has none of them."""
    column: NDArray[Any]
    if key == "file":
        places = {name: place for place, name in enumerate(origin.files)}
        column = origin.file_of
        wanted = np.array([places.get(folder + name, -1) for name in names])
    elif key == "id":
        column = origin.keys
        wanted = np.array([key_of(name) for name in names], dtype=np.uint64)
    else:
        column, wanted = origin.uids, np.array(names, dtype=np.str_)
    order = np.argsort(wanted, kind="stable")
    at = np.searchsorted(wanted, column, sorter=order)
    found: NDArray[np.int64] = order[np.minimum(at, len(order) - 1)]
    found[wanted[found] != column] = -1
    return found


def _scope(origin: SampleOrigin, folder: str) -> NDArray[np.bool_]:
    """Mark the samples at or below a folder: (n,)."""
    if not folder:
        return np.ones(len(origin.uids), dtype=np.bool_)
    below = np.array([name.startswith(folder) for name in origin.files], dtype=np.bool_)
    return below[origin.file_of]


def _read_files(origin: SampleOrigin) -> list[_StatementFile]:
    """Read the files of the folders that hold samples, the outermost first."""
    folders = {""}
    for parent in {name.rpartition("/")[0] for name in origin.files}:
        steps = parent.split("/") if parent else []
        folders |= {"/".join(steps[: n + 1]) + "/" for n in range(len(steps))}
    found = []
    for folder in sorted(folders, key=lambda each: (each.count("/"), each)):
        path = origin.folder / folder / SIDECAR
        # A link is refused below, not passed over: it may be a list of withdrawals.
        if path.is_symlink() or path.exists():
            found.append(_read(path, folder))
    return found


def _read(path: Path, folder: str) -> _StatementFile:
    file = _StatementFile(folder)
    try:
        for line, texts in _rows(path):
            try:
                _add_row(file, texts)
            except DataError as err:
                raise DataError(f"{path}, line {line}: {err}") from err
    except (OSError, BrokenSampleError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    return file


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each row's line, and its cells by column.

    Raises
    ------
    DataError
        If a column is none that there is, or a row is broken.
    """
    with open_csv(path) as table:
        columns = table.names()
        for name in columns:
            if name not in {*KEYS, *FIELDS}:
                raise DataError(
                    f"{path}: no column {name!r}" + nearest(name, {*KEYS, *FIELDS})
                )
        if len(set(columns)) != len(columns):
            raise DataError(f"{path}: a column stands twice")
        if not set(KEYS) & set(columns):
            raise DataError(
                f"{path}: needs a column file, id or uid, to say what rows are about"
            )
        for number, row in enumerate(table.rows()):
            if row.cells is None or number == MAX_ROWS:
                reason = row.reason or f"is one of more than {MAX_ROWS}"
                raise DataError(f"{path}, line {row.line}: {reason}")
            yield row.line, dict(zip(columns, row.cells, strict=True))


def _add_row(file: _StatementFile, texts: Mapping[str, str]) -> None:
    """Take in one row.

    Raises
    ------
    DataError
        If it is about nothing, about two things, or about what another row is about.
    """
    place_of = {key: texts[key] for key in KEYS if texts.get(key)}
    if len(place_of) != 1:
        raise DataError(f"fill exactly one of the columns {', '.join(KEYS)}")
    ((key, name),) = place_of.items()
    stated = {n: text for n, text in texts.items() if n in FIELDS}
    if (key, name) == ("file", "*"):
        if file.folder_wide is not None:
            raise DataError("* stands twice in this file")
        file.folder_wide = parse_fields(stated)
    elif name in file.place_of[key]:
        # Without the name: the message may leave the device.
        raise DataError(f"this {key} stands twice in this file")
    else:
        code = file.codes.setdefault(tuple(stated.values()), len(file.statements))
        if code == len(file.statements):
            file.statements.append(parse_fields(stated))
        file.place_of[key][name] = code
