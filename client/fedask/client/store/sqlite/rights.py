"""Rights in a device's SQLite file. A part of ``store``.

The file knows until when each question may be asked, and by which policy, so that a
process without the data, or without the policy, does not show what it may not.

When a sample was first seen takes sixteen bytes, for a policy with a retention. It is
deleted when a sample is erased: its tombstone keeps it from coming back as a new one.
"""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.erasure import ErasureStore
from fedask.client.records.rights import Permits, RightsStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.schema import POLICY, note, put_note
from fedask.common.errors import DataError, PrivacyError, StoreError
from fedask.common.ids import Uid, is_uid

NEVER = "0001-01-01T00:00:00+00:00"  # the end of a right that there is not

_ALL = "SELECT uid FROM item ORDER BY uid"
_END = "UPDATE item SET right_until = ?1 WHERE uid = ?2 AND right_until IS NOT ?1"
_OPEN = "UPDATE item SET right_until = NULL WHERE right_until IS NOT NULL"
_GONE = """SELECT uid FROM item WHERE right_until = ?
    AND state IN ('queued', 'leased') ORDER BY uid"""
_EXPIRE = """UPDATE item SET state = 'expired', leased_until = NULL, leases = 0,
    expired = expired + (outcome IS NULL) WHERE uid = ?"""
_END_LEASES = "UPDATE lease SET until = NULL WHERE uid = ? AND until IS NOT NULL"
_NAME = np.dtype("S16")  # a uid; its sixteen bytes sort faster than its digits
_DIGITS = 2 * _NAME.itemsize
_SEEN = "SELECT at, uids FROM first_seen ORDER BY number"
_ADD_SEEN = "INSERT INTO first_seen (at, uids) VALUES (?, ?)"
_SEEN_BLOBS = "SELECT number, uids FROM first_seen"
_PUT_SEEN = "UPDATE first_seen SET uids = ? WHERE number = ?"
_NOT_LATER = "UPDATE first_seen SET at = ?1 WHERE at > ?1"


class SqliteRights(RightsStore):
    """The rights of one connection."""

    def __init__(self, connection: Connection, erasure: ErasureStore) -> None:
        self._connection = connection
        self._erasure = erasure
        self._permits: Permits | None = None  # those that apply in this process

    @override
    def apply(self, permits: Permits, now: datetime) -> list[Uid]:
        audit = self._connection.audit
        with self._connection.transaction() as db:
            gone = _judge(db, permits)
            if note(db, POLICY) != permits.digest.encode():
                put_note(db, POLICY, permits.digest.encode())
                policy = permits.digest or "open"
                audit.append(db, Event.RIGHTS_CHANGED, at=now, policy=policy)
            if gone:
                audit.append(db, Event.EXPIRED, uids=gone, at=now, reason="rights")
        self._permits = permits
        return gone

    @override
    def first_seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        # Of a sample that was erased nothing is kept: it comes now, each time.
        found = np.full(len(uids), int(now.timestamp()), dtype=np.int64)
        with self._connection.transaction() as db:
            gone = self._erasure.forgotten(uids.tolist())
            stays = ~np.isin(uids, sorted(gone))
            found[stays] = _first_seen(db, uids[stays], now)
        return found

    def ends(self, uids: Sequence[Uid]) -> list[str | None]:
        """Return the end of each question's right, as it is kept; in a transaction.

        Raises
        ------
        PrivacyError
            If a sample may not be asked.
        StoreError
            If the file is under another policy than the caller's.
        """
        permits, policy = self._permits, note(self._connection.db, POLICY).decode()
        if policy != ("" if permits is None else permits.digest):
            raise StoreError(
                "this device's policy of rights is another one by now, or is not "
                "known here: open the device again, with its policy"
            )
        if permits is None or not policy:
            return [None] * len(uids)
        found: list[str | None] = []
        for uid, end in zip(uids, permits.until(uids), strict=True):
            if end is None:
                raise PrivacyError(
                    f"sample {uid} may not be asked: it has no right to be"
                )
            found.append(schema.to_text(end))
        return found


def _judge(db: sqlite3.Connection, permits: Permits) -> list[Uid]:
    """Update until when each question may be asked; return those that expired."""
    if not permits.digest:
        db.execute(_OPEN)
        return []
    uids = [Uid(uid) for (uid,) in db.execute(_ALL)]
    until = zip(uids, permits.until(uids), strict=True)
    texts = [(NEVER if end is None else schema.to_text(end), uid) for uid, end in until]
    db.executemany(_END, texts)
    gone = [Uid(uid) for (uid,) in db.execute(_GONE, (NEVER,))]
    for text, uid in texts:
        if text == NEVER:
            db.execute(_END_LEASES, (uid,))  # controls, too: they are on a screen
    db.executemany(_EXPIRE, [(uid,) for uid in gone])
    return gone


def drop_seen(connection: Connection, uids: Collection[Uid]) -> None:
    """Delete when these samples were first seen; in a transaction."""
    names = _packed(np.array([uid for uid in uids if is_uid(uid)], dtype=np.str_))
    for number, blob in connection.db.execute(_SEEN_BLOBS).fetchall():
        kept = np.frombuffer(blob, dtype=_NAME)
        stays = ~np.isin(kept, names)
        if not stays.all():
            connection.db.execute(_PUT_SEEN, (kept[stays].tobytes(), number))


def _first_seen(
    db: sqlite3.Connection, uids: NDArray[np.str_], now: datetime
) -> NDArray[np.int64]:
    second = int(now.timestamp())
    names, place = np.unique(_packed(uids), return_inverse=True)
    ats = np.full(len(names), second, dtype=np.int64)
    is_new = np.ones(len(names), dtype=np.bool_)
    db.execute(_NOT_LATER, (second,))
    for at, blob in db.execute(_SEEN) if len(names) else ():
        # Sorted, as the names are: ten times faster to find than in any order.
        kept = np.sort(np.frombuffer(blob, dtype=_NAME), kind="stable")
        near = np.minimum(np.searchsorted(names, kept), len(names) - 1)
        known = near[names[near] == kept]
        ats[known], is_new[known] = at, False
    if is_new.any():
        db.execute(_ADD_SEEN, (second, names[is_new].tobytes()))
    found: NDArray[np.int64] = ats[place]
    return found


def _packed(uids: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Return the sixteen bytes of each uid."""
    digits = "".join(uids.tolist())
    try:
        packed = bytes.fromhex(digits)
    except ValueError:
        packed = b""
    # What comes back otherwise had capitals or spaces; then the lengths may differ.
    if packed.hex() != digits or (np.char.str_len(uids) != _DIGITS).any():
        raise DataError("a retention needs uids of 32 hexadecimal digits")
    return np.frombuffer(packed, dtype=_NAME)
