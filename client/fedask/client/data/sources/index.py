"""The index of samples in files: a file is read again only when it has changed.

Used by ``IndexedSource``; kept in the one SQLite file that ``index_file`` opens. Names
of files, and what hashes of them, are sealed under a key of the store, or kept as keyed
hashes where only equality counts.
"""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from fedask.client.base.regular_file import Broken
from fedask.client.data.sources.index_file import IndexFile
from fedask.client.data.sources.reader import FileContents
from fedask.common.errors import SealError
from fedask.common.ids import Uid
from fedask.common.seal import Key, Place, mark, seal, unseal

_PENDING_FILES, _PENDING_SAMPLES = 512, 1 << 16  # written at once
_FIND = """SELECT uids, places, forms, keys FROM file
    WHERE source = ? AND mark = ? AND size = ? AND mtime_ns = ?"""
_FIND_ANY = """SELECT uids, places, forms, keys FROM file
    WHERE source = ? AND mark = ?"""
_SEEN = "SELECT size, mtime_ns FROM seen WHERE source = ? AND mark = ?"
_PUT_SEEN = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)"
_DROP_SEEN = "DELETE FROM seen WHERE source = ? AND mark = ?"
_DELETE = "DELETE FROM file WHERE source = ? AND mark = ?"
_PUT = """INSERT INTO file (source, mark, size, mtime_ns, uids, places, forms, keys)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT_BROKEN = "INSERT INTO broken (file, sealed) VALUES (?, ?)"
_BROKEN = """SELECT broken.sealed FROM broken JOIN file ON file = file.id
    WHERE source = ? ORDER BY broken.rowid"""
_HOLDING = """SELECT id, uids, places, forms, keys FROM file
    WHERE instr(uids, ?) > 0"""
_REPLACE = """UPDATE file SET uids = ?, places = ?, forms = ?, keys = ?
    WHERE id = ?"""
_KEYS = Place("file", "keys")
_BROKEN_PLACE = Place("broken", "sealed")


class Index(IndexFile):
    """Samples by source, file name, size and time of change.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist. None keeps all in
        memory.
    key
        Seals names: the store's ``index_key``. By default one that stands beside the
        file, or, in memory, one of its own.

    Raises
    ------
    StoreError
        If the file cannot be used; and from every method, if the disk refuses.
    """

    def __init__(self, path: Path | None = None, key: Key | None = None) -> None:
        super().__init__(path, key)
        self._pending: list[tuple[int, bytes, str, tuple[int, int], FileContents]] = []
        self._pending_samples = 0
        self._looks: list[tuple[int, bytes, int, int]] = []  # to be noted as seen
        self._forms: dict[str, int] = {}

    def source(self, name: str) -> int:
        """Return the id of a source: its place, kind and options, as text."""
        known = mark(self._key, "source", name)
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO source (mark) VALUES (?)", (known,))
            return self._number("SELECT id FROM source WHERE mark = ?", known)

    def form(self, form: str) -> int:
        """Return the id of a form."""
        if form not in self._forms:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO form (form) VALUES (?)", (form,))
                kept = self._number("SELECT id FROM form WHERE form = ?", form)
            self._forms[form] = kept
        return self._forms[form]

    def forms(self) -> dict[int, str]:
        """Return every form by its id."""
        with self._guarded():
            return dict(self._db.execute("SELECT id, form FROM form").fetchall())

    def find(
        self, source: int, name: str, stamp: tuple[int, int] | None
    ) -> FileContents | None:
        """Return what was found in a file.

        Parameters
        ----------
        stamp
            Size and time of the file as it is now: None is returned if it has changed
            since. Without a stamp, what it held before it changed is returned.
        """
        query = _FIND if stamp else _FIND_ANY
        with self._guarded():
            values = (source, mark(self._key, "file", name), *(stamp or ()))
            row = self._db.execute(query, values).fetchone()
        return None if row is None else self._opened(*row)

    def is_seen(self, source: int, name: str, stamp: tuple[int, int]) -> bool:
        """Return whether a file looked the same before, and note how it looks now.

        The note is on disk after ``flush``.
        """
        known = mark(self._key, "file", name)
        with self._guarded():
            before = self._db.execute(_SEEN, (source, known)).fetchone()
        self._looks.append((source, known, *stamp))
        return bool(before == stamp)

    def put(
        self, source: int, name: str, stamp: tuple[int, int], contents: FileContents
    ) -> None:
        """Replace the samples of a file.

        It is on disk after ``flush`` at the latest.
        """
        known = mark(self._key, "file", name)
        self._pending.append((source, known, name, stamp, contents))
        self._pending_samples += len(contents)
        if (
            len(self._pending) >= _PENDING_FILES
            or self._pending_samples >= _PENDING_SAMPLES
        ):
            self.flush()

    def flush(self) -> None:
        """Write what is pending, in one short transaction: others use the file too."""
        if not self._pending and not self._looks:
            return
        with self._transaction() as db:
            db.executemany(_PUT_SEEN, self._looks)
            for source, known, name, stamp, found in self._pending:
                db.execute(_DELETE, (source, known))
                db.execute(_DROP_SEEN, (source, known))
                row = (source, known, *stamp, *self._sealed(found))
                file = db.execute(_PUT, row).lastrowid
                broken = list(found.broken)
                if found.left_out:
                    broken.append(Broken(name, f"and {found.left_out} more like these"))
                sealed = [self._seal_broken(name, each) for each in broken]
                db.executemany(_PUT_BROKEN, [(file, each) for each in sealed])
        self._pending, self._pending_samples, self._looks = [], 0, []

    def keep(self, source: int, names: AbstractSet[str]) -> None:
        """Forget the files of a source that are not among these names."""
        self.flush()
        with self._transaction() as db:
            count = "SELECT COUNT(*) FROM file WHERE source = ?"
            if self._number(count, source) == len(names):
                return
            known = {mark(self._key, "file", name) for name in names}
            kept = db.execute("SELECT mark FROM file WHERE source = ?", (source,))
            gone = [(source, mark) for (mark,) in kept if mark not in known]
            db.executemany(_DELETE, gone)
            db.executemany(_DROP_SEEN, gone)

    def forget(self, source: int, name: str) -> None:
        """Forget a file, so that it is read again the next time."""
        with self._transaction() as db:
            db.execute(_DELETE, (source, mark(self._key, "file", name)))

    def erase(self, uids: Iterable[Uid]) -> None:
        """Delete samples from the index; a file without any other is deleted whole.

        What is still on the disk is found again by the next look: the owner of the
        data deletes it there.
        """
        self.flush()
        with self._transaction() as db:
            for raw in map(bytes.fromhex, uids):
                for file, *columns in db.execute(_HOLDING, (raw,)).fetchall():
                    found = self._opened(*columns)
                    kept = None if found is None else found.without(raw)
                    if kept:
                        db.execute(_REPLACE, (*self._sealed(kept), file))
                    else:
                        db.execute("DELETE FROM file WHERE id = ?", (file,))
        with self._guarded():
            self._vacuum()

    def broken(self, source: int) -> list[Broken]:
        """Return what is broken in the files of a source, in the order of names."""
        self.flush()
        with self._guarded():
            sealed = self._db.execute(_BROKEN, (source,)).fetchall()
        opened = [json.loads(unseal(self._key, r, _BROKEN_PLACE)) for (r,) in sealed]
        opened.sort(key=lambda each: each[0].encode())  # by file; else as they stood
        return [Broken(name, reason) for _, name, reason in opened]

    def _seal_broken(self, file: str, broken: Broken) -> bytes:
        text = json.dumps([file, *broken]).encode()
        return seal(self._key, text, _BROKEN_PLACE)

    def _sealed(self, found: FileContents) -> list[bytes]:
        """Return the columns; the keys sealed, as hashed names could be guessed."""
        keys = b""  # all zero: nothing names these samples
        if any(found.keys):
            keys = seal(self._key, found.keys.tobytes(), _KEYS)
        return [
            bytes(found.uids),
            found.places.tobytes(),
            found.forms.tobytes(),
            keys,
        ]

    def _opened(
        self, uids: bytes, places: bytes, forms: bytes, keys: bytes
    ) -> FileContents | None:
        try:
            plain = unseal(self._key, keys, _KEYS) if keys else None
        except SealError:  # as if the disk had not kept it well
            return None
        if plain is None:
            plain = bytes(8 * (len(uids) // 16))
        return FileContents.of(uids, places, forms, plain)
