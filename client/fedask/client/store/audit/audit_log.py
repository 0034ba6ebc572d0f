"""The audit log in a device's SQLite file. Called by the store, within transactions.

Appends, and keeps the head file; never changes or removes an entry, which the table's
own triggers refuse, too. On opening it compares log and head, and refuses to go on with
a log that is shorter than its head, or another one: whoever runs the device must find
out why (``audit_check.verify``), and may then take the log as it is with ``accept``.
"""

import hmac
import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from fedask.client.records.audit import Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.store.audit.hash_chain import (
    AuditEntry,
    AuditKey,
    Head,
    entry_hash,
    genesis,
    next_entry,
)
from fedask.client.store.audit.head_file import (
    LOG_ID_BYTES,
    KeptHead,
    begin_head,
    head_path,
    read_head,
    replace_head,
    write_head,
)
from fedask.common.clock import Clock
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid

COLUMNS = "number, at, event, body, previous, hash, mac"
_APPEND = f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  (a constant)
_NEXT = (
    f"SELECT {COLUMNS} FROM audit WHERE number > ? "  # noqa: S608  (a constant)
    "ORDER BY number LIMIT 1"
)
_LAST = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"
_HASH = "SELECT hash FROM audit WHERE number = ?"

_log = logging.getLogger(__name__)


class SqliteAudit(Audit):
    """The log of one connection.

    Parameters
    ----------
    store
        Path of the SQLite file; the head is kept beside it.
    key
        At least 32 random bytes; None: the store's own, which stays the same when the
        device's key is changed.
    clock
        Says when, where the caller does not.
    process
        Who opens the store: a short word.
    entropy
        Makes the id of a new log.

    Raises
    ------
    ConfigError
        If a key is too short.
    """

    def __init__(
        self,
        store: Path,
        key: bytes | None,
        clock: Clock,
        *,
        process: str = "device",
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._path = head_path(store)
        self._given = None if key is None else AuditKey(key)
        self._clock = clock
        self._process = process
        self._entropy = entropy
        self._log_id = b""
        self._tip: Head | None = None  # of this transaction, or the last one
        self._dirty = False  # whether the head file lacks the tip
        self._before: tuple[Head | None, bool] = (None, False)

    @override
    def open(self, db: sqlite3.Connection, store_key: bytes) -> None:
        self._given = self._given or AuditKey(store_key)
        kept = read_head(self._path, self._key)
        tip = _tip(db)
        if kept is None and tip is None:
            self._log_id = self._entropy(LOG_ID_BYTES)
            begin_head(self._path, self._log_id, self._key)
        elif kept is None:
            raise StoreError(
                f"{self._store} has an audit log, but its head {self._path} is gone: "
                "put it back; if it is lost, fedask device audit --accept"
            )
        else:
            self._check(db, kept, tip)
            self._log_id = kept.log_id
        self._tip = tip or Head(number=0, hash=genesis(self._log_id))
        self.append(db, Event.OPENED, process=self._process, key=self._key.name)

    def _check(self, db: sqlite3.Connection, kept: KeptHead, tip: Head | None) -> None:
        """Refuse a log that is not the head's, or goes on from it with foreign entries.

        Raises
        ------
        StoreError
            Naming the entry.
        """
        head = kept.head
        if head.number:
            row = db.execute(_HASH, (head.number,)).fetchone()
            if row is None or not hmac.compare_digest(bytes(row[0]), head.hash):
                last = 0 if tip is None else tip.number
                raise StoreError(
                    f"{self._store}: the audit log ends at entry {last}, or was "
                    f"changed, but {self._path} knows entry {head.number}: entries "
                    "were removed, or an older copy of the file was put back"
                )
        for entry in entries(db, head.number):
            good = hmac.compare_digest(entry.previous, head.hash)
            made = entry_hash(
                entry.number, entry.at, entry.event, entry.body, entry.previous
            )
            good = good and hmac.compare_digest(made, entry.hash)
            mac = self._key.entry_mac(entry.hash)
            if not good or not hmac.compare_digest(mac, entry.mac):
                raise StoreError(
                    f"{self._store}: entry {entry.number} of the audit log was not "
                    "written by this device"
                )
            head = Head(number=entry.number, hash=entry.hash)

    @override
    def append(
        self,
        db: sqlite3.Connection | None,
        event: Event,
        *,
        uids: Sequence[Uid] = (),
        annotator: Annotator | None = None,
        at: datetime | None = None,
        **facts: Fact,
    ) -> None:
        if db is None:
            raise StoreError("the audit log of a file needs its transaction")
        time = (self._clock.now() if at is None else at).astimezone(UTC).isoformat()
        for body in self._key.bodies(uids, annotator, facts):
            tip = _tip(db) or Head(number=0, hash=genesis(self._log_id))
            if self._tip is not None and tip.number < self._tip.number:
                raise StoreError(
                    f"{self._store}: entries of the audit log were removed"
                )
            entry = next_entry(tip, self._key, time, event, body)
            db.execute(_APPEND, _to_row(entry))
            self._tip = Head(number=entry.number, hash=entry.hash)
            self._dirty = True

    @property
    def _key(self) -> AuditKey:
        """The key that entries are written with."""
        if self._given is None:
            raise StoreError(f"the audit log of {self._store} is not open")
        return self._given

    @override
    def check_open(self, db: sqlite3.Connection) -> None:
        self._before = (self._tip, self._dirty)
        if self._dirty:  # the last one could not be written
            self._write_head()
            self._before = (self._tip, False)

    @override
    def settle(self, *, committed: bool) -> None:
        if not committed:
            self._tip, self._dirty = self._before
            return
        if self._dirty:
            try:
                self._write_head()
            except StoreError as err:
                # What happened has happened, and is kept; the next change must wait
                # until the head can be written.
                _log.error("audit head not written: %s", err)

    def _write_head(self) -> None:
        if self._tip is not None:
            kept = KeptHead(log_id=self._log_id, head=self._tip)
            write_head(self._path, kept, self._key)
        self._dirty = False


def _tip(db: sqlite3.Connection) -> Head | None:
    row = db.execute(_LAST).fetchone()
    return None if row is None else Head(number=int(row[0]), hash=bytes(row[1]))


def accept(store: Path, db: sqlite3.Connection, key: bytes, at: datetime) -> Head:
    """Take the log as it is, after it was found to differ from its head.

    For the owner, after a backup was put back or a head was lost. An entry says so for
    ever, with the number that the head had.


    Raises
    ------
    StoreError
        If the disk refuses.
    """
    made, path = AuditKey(key), head_path(store)
    try:
        kept = read_head(path, made)
    except StoreError:
        kept = None
    log_id = secrets.token_bytes(LOG_ID_BYTES) if kept is None else kept.log_id
    tip = _tip(db) or Head(number=0, hash=genesis(log_id))
    known = -1 if kept is None else kept.head.number
    (body,) = made.bodies((), None, {"head": known, "found": tip.number})
    time = at.astimezone(UTC).isoformat()
    entry = next_entry(tip, made, time, Event.ACCEPTED, body)
    db.execute(_APPEND, _to_row(entry))
    head = Head(number=entry.number, hash=entry.hash)
    replace_head(path, KeptHead(log_id=log_id, head=head), made)
    return head


def entries(db: sqlite3.Connection, after: int = -(1 << 63)) -> Iterator[AuditEntry]:
    """Yield the entries after a number, each read when its turn comes.

    Raises
    ------
    StoreError
        If one is not of the types that entries have.
    sqlite3.Error
        If the file is broken where the next one stands.
    """
    while (row := db.execute(_NEXT, (after,)).fetchone()) is not None:
        yield to_entry(row)
        after = row[0]


def _to_row(entry: AuditEntry) -> tuple[object, ...]:
    said = (entry.number, entry.at, entry.event, entry.body)
    return (*said, entry.previous, entry.hash, entry.mac)


def to_entry(row: Sequence[Any]) -> AuditEntry:
    """Read a row of ``COLUMNS``.

    Raises
    ------
    StoreError
        If it is not of the types that entries have.
    """
    number, at, event, body, previous, made, mac = row
    texts, blobs = (at, event, body), (previous, made, mac)
    if type(number) is not int or not (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(blob, bytes) for blob in blobs)
    ):
        raise StoreError(f"entry {number!r:.40} of the audit log is none")
    return AuditEntry(
        number=number,
        at=at,
        event=event,
        body=body,
        previous=previous,
        hash=made,
        mac=mac,
    )
