"""Rights in a device's SQLite file. Part of the store: see ``store.SqliteStore``.

The file knows until when each question may be asked, and by which policy, so that a
process without the data, or without the policy, does not show what it may not.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.rights import Permits, RightsStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.arrival_times import seen
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.note import POLICY, note, put_note
from fedask.common.errors import PrivacyError, StoreError
from fedask.common.ids import Uid

NEVER = "0001-01-01T00:00:00+00:00"  # the end of a right that there is not

_ALL = "SELECT uid FROM item ORDER BY uid"
_END = "UPDATE item SET right_until = ?1 WHERE uid = ?2 AND right_until IS NOT ?1"
_OPEN = "UPDATE item SET right_until = NULL WHERE right_until IS NOT NULL"
_GONE = """SELECT uid FROM item WHERE right_until = ?
    AND state IN ('queued', 'leased') ORDER BY uid"""
_EXPIRE = """UPDATE item SET state = 'expired', leased_until = NULL, taken = 0,
    expired = expired + (outcome IS NULL) WHERE uid = ?"""
_END_HOLDS = "UPDATE lease SET until = NULL WHERE uid = ? AND until IS NOT NULL"


class SqliteRights(Connection, RightsStore):
    """Until when each sample may be asked, and when it came."""

    _permits: Permits | None = None  # those that apply in this process

    @override
    def use_rights(self, permits: Permits, now: datetime) -> list[Uid]:
        with self._transaction() as db:
            gone = _judge(db, permits)
            if note(db, POLICY) != permits.digest.encode():
                put_note(db, POLICY, permits.digest.encode())
                policy = permits.digest or "open"
                self._audit.append(db, Event.RIGHTS_CHANGED, at=now, policy=policy)
            if gone:
                self._audit.append(
                    db, Event.EXPIRED, uids=gone, at=now, reason="rights"
                )
        self._permits = permits
        return gone

    @override
    def seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        # Of a sample that was erased nothing is kept: it comes now, each time.
        found = np.full(len(uids), int(now.timestamp()), dtype=np.int64)
        with self._transaction() as db:
            gone = self._eraser.forgotten(uids.tolist())
            stays = ~np.isin(uids, sorted(gone))
            found[stays] = seen(db, uids[stays], now)
        return found

    def _right_ends(
        self, db: sqlite3.Connection, uids: Sequence[Uid]
    ) -> list[str | None]:
        """Return what is to be kept as the end of each question's right.

        Raises
        ------
        PrivacyError
            If a sample may not be asked.
        StoreError
            If the file is under another policy than the caller's.
        """
        permits, policy = self._permits, note(db, POLICY).decode()
        if policy != ("" if permits is None else permits.digest):
            msg = "this device's policy of rights is another one by now, or is not "
            msg += "known here: open the device again, with its policy"
            raise StoreError(msg)
        if permits is None or not policy:
            return [None] * len(uids)
        found: list[str | None] = []
        for uid, end in zip(uids, permits.until(uids), strict=True):
            if end is None:
                msg = f"sample {uid} may not be asked: it has no right to be"
                raise PrivacyError(msg)
            found.append(schema.to_text(end))
        return found


def _judge(db: sqlite3.Connection, permits: Permits) -> list[Uid]:
    """Keep anew until when each question may be asked; returns those that expired."""
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
            db.execute(_END_HOLDS, (uid,))  # controls, too: they are on a screen
    db.executemany(_EXPIRE, [(uid,) for uid in gone])
    return gone
