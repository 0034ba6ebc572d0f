"""Check of an audit log. Called by the commands and the checkup of a device.

Reads the store and its head file, and changes neither. Without the key it finds what
breaks the chain of hashes; with the key also what somebody else wrote. With a head that
was kept elsewhere it finds that log and head were both put back.
"""

import hmac
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fedask.client.store.audit.audit_log import COLUMNS, entries, to_entry
from fedask.client.store.audit.hash_chain import (
    MAX_BODY,
    AuditEntry,
    AuditKey,
    Head,
    entry_hash,
    genesis,
)
from fedask.client.store.audit.head_file import KeptHead, head_path, read_head
from fedask.common.errors import StoreError

_LOST = """SELECT 1 FROM audit
    WHERE event = 'accepted' AND body LIKE '%"head":-1}' LIMIT 1"""
_LATEST = f"SELECT {COLUMNS} FROM audit ORDER BY number DESC LIMIT ?"  # noqa: S608  (a constant)
# SQLite quotes a damaged table's name, which need not be text.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """The result of a check.

    Parameters
    ----------
    entries
        How many are good, from the first on.
    bad
        Number of the first entry that is not; None if all are.
    reason
        What is wrong; "" if nothing is.
    head
        The last good entry: print it and keep it elsewhere.
    newer
        Entries after the head file's: a process ended, or the machine, between
        writing them and writing the head. None of them is missing.
    """

    entries: int
    bad: int | None
    reason: str
    head: Head | None
    newer: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reason


class _BadError(Exception):
    """An entry is not as it was written."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def verify(
    path: Path, head: Head | None = None, key: bytes | None = None
) -> AuditFinding:
    """Check the log of a store.

    Parameters
    ----------
    path
        The store; its head file is looked for beside it.
    head
        One that was printed before and kept elsewhere.
    key
        The device's. Without it, only the chain is checked: neither who wrote it, nor
        whether its end is missing.

    Returns
    -------
    AuditFinding
        Names the first bad entry.

    Raises
    ------
    ConfigError
        If the key is too short.
    """
    walk = _Walk(None if key is None else AuditKey(key))
    try:
        kept = walk.kept(path)
        must = [] if kept is None else [kept.head]
        must += [] if head is None else [head]
        with closing(_open(path)) as db:
            walk.go(db, kept, must)
    except _BadError as err:
        return walk.found(err.number, str(err))
    except (*_UNREADABLE, StoreError) as err:
        return walk.found(walk.good.number + 1, f"cannot be read: {err}")
    return walk.found(None, "", walk.good.number - kept.head.number if kept else 0)


def latest(path: Path, count: int) -> list[AuditEntry]:
    """Return the last entries of a store's log, the oldest first, unchecked.

    Raises
    ------
    StoreError
        If they cannot be read, or there is no log.
    """
    try:
        with closing(_open(path)) as db:
            rows = db.execute(_LATEST, (count,)).fetchall()
    except _UNREADABLE as err:
        raise StoreError(f"cannot read the audit log of {path}: {err}") from err
    return [to_entry(row) for row in reversed(rows)]


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    # The file may be anybody's.
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * MAX_BODY)
    db.execute("PRAGMA trusted_schema = OFF")
    return db


class _Walk:
    """Reads a log from its first entry to the first one that is wrong."""

    def __init__(self, key: AuditKey | None) -> None:
        self._key = key
        self.good = Head(number=0, hash=b"")

    def kept(self, path: Path) -> KeptHead | None:
        """Return the head file's head, if there is a key to believe it by."""
        if self._key is None:
            return None
        kept = read_head(head_path(path), self._key)
        if kept is None:
            raise _BadError(1, f"the head file {head_path(path)} is gone")
        return kept

    def go(
        self, db: sqlite3.Connection, kept: KeptHead | None, must: Sequence[Head]
    ) -> None:
        """Check every entry, and that the log is as long as each of ``must``."""
        kind = db.execute("SELECT type FROM sqlite_master WHERE name = 'audit'")
        if kind.fetchone() != ("table",):
            raise _BadError(1, "the store has no audit log")
        # Whose head was lost and accepted begins with a genesis that nobody knows now.
        lost = db.execute(_LOST).fetchone() is not None
        previous = genesis(kept.log_id) if kept and not lost else None
        for entry in entries(db):
            self._check(entry, previous)
            previous = entry.hash
            good = Head(number=entry.number, hash=entry.hash)
            if any(h.number == good.number and h != good for h in must):
                raise _BadError(entry.number, "is another one than the head knows")
            self.good = good
        missing = max((h.number for h in must), default=0)
        if missing > self.good.number:
            what = f"entries {self.good.number + 1} to {missing} were removed"
            raise _BadError(self.good.number + 1, what)

    def _check(self, entry: AuditEntry, previous: bytes | None) -> None:
        number = self.good.number + 1
        if entry.number != number:
            raise _BadError(number, f"entry {number} is missing")
        if previous is not None and not hmac.compare_digest(entry.previous, previous):
            raise _BadError(number, "does not follow the entry before")
        texts = (entry.at, entry.event, entry.body)
        if not hmac.compare_digest(
            entry_hash(number, *texts, entry.previous), entry.hash
        ):
            raise _BadError(number, "was changed")
        if self._key is None:
            return
        if not hmac.compare_digest(self._key.entry_mac(entry.hash), entry.mac):
            raise _BadError(number, "was not written by this device")

    def found(self, bad: int | None, reason: str, newer: int = 0) -> AuditFinding:
        """Return the result: how far the log is good, and what is wrong."""
        return AuditFinding(
            entries=self.good.number,
            bad=bad,
            reason=reason,
            head=self.good if self.good.number else None,
            newer=newer,
        )
