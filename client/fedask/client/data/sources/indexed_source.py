"""Samples in files, through an index. Called by the pool; knows no kind of file.

The first look reads every file once; later ones only compare size and time of each
file with the index. A sample is hashed again when it is loaded, so that an answer is
never trained on with other content than was shown.

Beside the uids it holds 36 bytes per sample, and the names of the files.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError, File, walk
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.reader import (
    COLUMNS,
    FileContents,
    FileReader,
    FormatReader,
    FoundSample,
    SampleKey,
    for_model,
    lacking,
    stack,
)
from fedask.client.records.original import ONLY, Originals
from fedask.client.records.payload import PayloadStore
from fedask.client.records.pool import DataSource
from fedask.client.records.provenance import SampleName, SampleOrigin
from fedask.common.errors import DataError
from fedask.common.ids import Uid

# A file of a watched folder that nobody has touched for so long is whole, though it is
# seen for the first time; a younger one is left for the next look.
QUIET = timedelta(minutes=1)
OTHER_FORM = "as most others are"  # ends the reason of a sample of another shape
_PIECE = 1 << 14  # uids written out at once

_log = logging.getLogger(__name__)


class NoSamplesError(DataError):
    """There is no sample yet, or none that is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanContext:
    """What a scan of files needs to know.

    Parameters
    ----------
    index
        What was found before.
    now
        Time of this look, aware.
    watch
        Whether files may be still growing: each is left alone until it looks the same
        twice, or has been quiet for a minute.
    payloads
        The device's store, if samples may be kept in it.
    """

    index: Index
    now: datetime
    watch: bool = False
    payloads: PayloadStore | None = None


class IndexedSource(DataSource):
    """The samples in the files below a folder, or in one file, as they are now.

    Parameters
    ----------
    reader
        Of the kind of file.
    look
        With the index, which must stay open.

    Raises
    ------
    NoSamplesError
        If there is no sample at all.
    DataError
        If there is nothing at ``root``.
    StoreError
        If the index cannot be used.
    ConfigError
        If the reader needs what is not installed.
    """

    def __init__(self, root: Path, reader: FormatReader, look: ScanContext) -> None:
        self._root = root
        self._reader = reader
        self._look = look
        name = f"{root.resolve()} {reader!r}"
        self._source = look.index.source(name)
        self._files: list[File] = []
        self._refused: list[Broken] = []  # of this look alone: not in the index
        total, counts = self._gather()
        self._file_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self._places = np.frombuffer(total.places, dtype=np.int64).reshape(-1, 2)
        self._keys = np.frombuffer(total.keys, dtype=np.uint64)
        self._form, self._others = "", np.zeros(0, dtype=np.int64)
        forms = np.frombuffer(total.forms, dtype=np.int32)
        rows = self._of_one_form(forms)
        self._uids = _hex_uids(total.uids, rows)
        if len(rows) < len(forms):
            self._others = np.setdiff1d(np.arange(len(forms)), rows)
        self._other_forms = forms[self._others]
        self._rows = rows
        self._report()

    def _gather(self) -> tuple[FileContents, list[int]]:
        """Return what all files hold, and how many samples each one."""
        total, counts = FileContents(), []
        for entry in walk(self._root, self._wanted()):
            if isinstance(entry, Broken):
                self._refused.append(entry)
                continue
            contents = self._contents(entry)
            self._files.append(entry)
            counts.append(len(contents))
            total.extend(contents)
        self._look.index.keep(self._source, {file.name for file in self._files})
        return total, counts

    def _wanted(self) -> frozenset[str]:
        return self._reader.suffixes - lacking(self._reader).keys()

    def _contents(self, file: File) -> FileContents:
        """Return what a file holds, from the index if it has not changed."""
        index, stamp = self._look.index, self._reader.stamp(file)
        kept = index.find(self._source, file.name, stamp)
        if kept is not None:
            return kept
        if self._look.watch and not self._is_whole(file, stamp):
            # What a log held before it grew is still there; what is not is found out.
            return index.find(self._source, file.name, None) or FileContents()
        contents = FileContents()
        try:
            for found in self._reader.scan(file):
                if isinstance(found, Broken):
                    contents.set_aside(found)
                else:
                    contents.add(found, index.form(found.form))
        except BrokenSampleError as err:
            contents.set_aside(Broken(file.name, str(err)))
        except OSError as err:  # perhaps not the file's fault: tried again next time
            self._refused.append(Broken(file.name, f"cannot be read: {err}"))
            return FileContents()
        contents = contents.with_own_places(file.name)
        if not contents and not contents.broken:
            contents.set_aside(Broken(file.name, "holds no sample"))
        index.put(self._source, file.name, stamp, contents)
        return contents

    def _is_whole(self, file: File, stamp: tuple[int, int]) -> bool:
        quiet_s = self._look.now.timestamp() - file.mtime_ns / 1e9
        if quiet_s >= QUIET.total_seconds():
            return True
        return self._look.index.is_seen(self._source, file.name, stamp)

    def _of_one_form(self, forms: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the rows of the commonest form; ties by its text."""
        if not len(forms):
            return np.zeros(0, dtype=np.int64)
        found, counts = np.unique(forms, return_counts=True)
        named = self._look.index.forms()
        best = commonest(dict(zip(found.tolist(), counts.tolist(), strict=True)), named)
        self._form = named.get(best, "")
        return np.flatnonzero(forms == best)

    def _report(self) -> None:
        broken = self.broken()
        first = f": {broken[0].name} {broken[0].reason}" if broken else ""
        if not len(self._rows):
            raise NoSamplesError(
                f"no samples in {self._root}: {len(broken)} set aside{first}"
                + self._need()
            )
        if broken:
            _log.warning("%s: %d set aside%s", self._root, len(broken), first)

    def _need(self) -> str:
        """Say what is passed over for want of an extra."""
        passed, without = Counter[str](), lacking(self._reader)
        _ = [*walk(self._root, self._wanted(), passed)] if without else []
        needs = [
            f"; {passed[suffix]} {suffix} need the extra {extra}: "
            f"pip install 'fedask[{extra}]'"
            for suffix, extra in without.items()
            if passed[suffix]
        ]
        return "".join(needs)

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    def keys(self) -> NDArray[np.uint64]:
        """Return the key of each sample, by which parts are joined: (n,) uint64."""
        return self._keys[self._rows]

    def origins(self) -> list[SampleOrigin]:
        """Return the file of each sample, for statements of provenance."""
        top = self._root if self._root.is_dir() else self._root.parent
        return [
            SampleOrigin(
                folder=top,
                files=[file.name for file in self._files],
                file_of=self._file_of[self._rows],
                keys=self.keys(),
                uids=self._uids,
            )
        ]

    def names(self, wanted: Collection[Uid]) -> dict[Uid, SampleName]:
        """Return file and id of these samples; of those that are there."""
        rows = np.flatnonzero(np.isin(self._uids, list(wanted)))
        files = self._file_of[self._rows[rows]]
        named = {}
        for at in np.unique(files).tolist():
            mine = rows[files == at]
            ids = self._ids(self._files[at], mine)
            for uid in map(Uid, self._uids[mine].tolist()):
                named[uid] = SampleName(self._files[at].name, ids.get(uid, ""))
        return named

    def _ids(self, file: File, rows: NDArray[np.int64]) -> dict[Uid, str]:
        """Return the names of samples of one file, which the index keeps as hashes."""
        if isinstance(self._reader, FileReader) or not self.keys()[rows].any():
            return {}  # it has the name of its file, or none
        ids: dict[Uid, str] = {}
        try:
            for found in self._reader.scan(file):
                if isinstance(found, FoundSample) and isinstance(found.key, SampleKey):
                    ids.setdefault(found.uid, found.key.name)
        except (BrokenSampleError, OSError):
            return ids  # of what is still there
        return ids

    @override
    def broken(self) -> list[Broken]:
        broken = self._refused + self._look.index.broken(self._source)
        named = self._look.index.forms() if len(self._others) else {}
        for row, form in zip(
            self._others.tolist(), self._other_forms.tolist(), strict=True
        ):
            file, place = self._files[self._file_of[row]], int(self._places[row, 0])
            name = f"{file.name} at {place}" if place else file.name
            broken.append(Broken(name, self._other_than_most(named.get(form, ""))))
        return broken

    def _other_than_most(self, form: str) -> str:
        """Say why a sample of this form is set aside."""
        kind, _, columns = self._form.partition(COLUMNS)
        if columns and form.partition(COLUMNS)[0] == kind:
            return "has other columns than most files have: name them with columns="
        return f"is not {kind} {OTHER_FORM}"

    @override
    def notes(self) -> list[str]:
        try:
            note = self._reader.note(self._files[0]) if self._files else ""
        except (BrokenSampleError, OSError):
            return []  # it is set aside with the reason
        return [note] if note else []

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        if not len(rows):
            return self.load(np.zeros(1, dtype=np.int64))[:0]
        samples: list[Any] = [None] * len(rows)
        inner = self._rows[rows]
        files = self._file_of[inner]
        order = np.argsort(files, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(files[order])) + 1):
            file = self._files[files[part[0]]]
            for at, sample in zip(
                part.tolist(), self._read(file, inner[part], rows[part]), strict=True
            ):
                samples[at] = for_model(sample)
        return stack(samples)

    @override
    def originals(self, row: int, side: int) -> Originals:
        inner = self._rows[row]
        file = self._files[self._file_of[inner]]
        with self._unchanged(file):
            place = self._places[inner]
            found, original = self._reader.original(file, place, side)
            _check_same(found, str(self._uids[row]))
        return {ONLY: original}

    def _read(
        self, file: File, inner: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Iterator[Any]:
        """Yield samples of one file; refuses a sample that has changed."""
        with self._unchanged(file):
            read = self._reader.read(file, self._places[inner])
            for uid, (found, sample) in zip(self._uids[rows], read, strict=True):
                _check_same(found, uid)
                yield sample

    @contextmanager
    def _unchanged(self, file: File) -> Iterator[None]:
        """Have a file looked at anew the next time if it is not what it was."""
        try:
            yield
        except (BrokenSampleError, OSError) as err:
            self._look.index.forget(self._source, file.name)
            raise DataError(
                f"{self._root}: {file.name} has changed since it was looked at "
                f"({err}); it is looked at anew the next time"
            ) from err


def _check_same(found: Uid, wanted: str) -> None:
    """Refuse other content than that of which people were asked."""
    if found != wanted:
        raise BrokenSampleError(f"holds another sample than {wanted} by now")


def commonest(counts: Mapping[int, int], named: Mapping[int, str]) -> int:
    """Return the form of most samples, by its id; ties go to the first text."""
    return min(counts, key=lambda form: (-counts[form], named.get(form, ""), form))


def _hex_uids(uids: bytearray, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the uids of some rows as (m,) str of hex digits."""
    raw = np.frombuffer(uids, dtype=np.uint8).reshape(-1, 16)
    written = np.empty(len(rows), dtype="<U32")
    for start in range(0, len(rows), _PIECE):
        digits = raw[rows[start : start + _PIECE]].tobytes().hex().encode()
        wide = np.frombuffer(digits, dtype=np.uint8).astype("<u4")
        written[start : start + _PIECE] = wide.view("<U32")
    return written
