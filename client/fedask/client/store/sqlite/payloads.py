"""Payloads in a device's SQLite file, within a quota. A part of ``store``.

A payload that went to make room leaves an empty row: that it is missing is no fault
then.
"""

from typing_extensions import override

from fedask.client.records.erasure import ErasureStore
from fedask.client.records.payload import (
    Payload,
    PayloadStore,
    StoreQuota,
    check_payload,
    no_room,
    not_there,
    was_erased,
)
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.scores import drop_scores
from fedask.common.ids import Uid
from fedask.common.seal import Place

_HAS = "SELECT suffix, content FROM payload WHERE uid = ? AND dropped = 0"
_PUT = """INSERT OR REPLACE INTO payload (uid, suffix, size, content)
    VALUES (?, ?, ?, ?)"""
_ALL = "SELECT uid, suffix, size FROM payload WHERE dropped = 0 ORDER BY uid"
_DROPPED = "SELECT uid FROM payload WHERE dropped = 1"
_TAKEN = "SELECT total(size) FROM payload WHERE dropped = 0"
_MAY_GO = """SELECT payload.uid, size, state = 'queued' FROM payload
    LEFT JOIN item ON item.uid = payload.uid
    WHERE dropped = 0 AND payload.uid <> ?
    AND (state IS NULL OR state IN ('trained', 'skipped', 'expired', 'queued'))
    AND NOT EXISTS (SELECT 1 FROM lease
        WHERE lease.uid = payload.uid AND until IS NOT NULL)
    ORDER BY CASE WHEN state IN ('trained', 'skipped') THEN 0
        WHEN state = 'expired' THEN 1 WHEN state IS NULL THEN 2 ELSE 3 END,
        CASE WHEN state = 'queued' THEN priority ELSE cycle END, number"""
_DROP = "UPDATE payload SET content = x'', size = 0, dropped = 1 WHERE uid = ?"
_NO_CONTROL = "UPDATE item SET known = 0 WHERE uid = ? AND known = 1"
_EXPIRE = """UPDATE item SET state = 'expired', leased_until = NULL,
    expired = expired + (outcome IS NULL) WHERE uid = ?"""


class SqlitePayloads(PayloadStore):
    """The payloads of one connection.

    Parameters
    ----------
    erasure
        Knows what must not come back.
    """

    def __init__(
        self, connection: Connection, erasure: ErasureStore, quota: StoreQuota
    ) -> None:
        self._connection = connection
        self._db = connection.db
        self._key_vault = connection.key_vault
        self._erasure = erasure
        self._quota = quota

    @override
    def put(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        check_payload(uid, suffix, content)
        with self._connection.transaction() as db:
            if self._erasure.forgotten([uid]):
                raise was_erased(uid)
            if db.execute(_HAS, (uid,)).fetchone():
                return []
            gone = self._make_room(uid, len(content))
            sealed = self._key_vault.seal(_place(uid, suffix), content)
            db.execute(_PUT, (uid, suffix, len(content), sealed))
        return gone

    @override
    def content(self, uid: Uid) -> bytes:
        with self._connection.snapshot() as db:
            row = db.execute(_HAS, (uid,)).fetchone()
            if row is None:
                raise not_there(uid)
            return self._key_vault.unseal(_place(uid, row[0]), row[1])

    @override
    def all(self) -> list[Payload]:
        with self._connection.reading() as db:
            rows = db.execute(_ALL)
            return [Payload(Uid(uid), suffix, size) for uid, suffix, size in rows]

    @override
    def dropped(self) -> frozenset[Uid]:
        with self._connection.reading() as db:
            return frozenset(Uid(uid) for (uid,) in db.execute(_DROPPED))

    def _make_room(self, uid: Uid, size: int) -> list[Uid]:
        over = int(self._db.execute(_TAKEN).fetchone()[0]) + size
        over -= self._quota.max_bytes
        gone: list[Uid] = []
        if over > 0:
            for other, freed, queued in self._db.execute(_MAY_GO, (uid,)).fetchall():
                if over <= 0:
                    break
                self._drop(Uid(other), queued=bool(queued))
                gone.append(Uid(other))
                over -= freed
        if over > 0:
            raise no_room(size, self._quota)
        drop_scores(self._connection, gone)
        return gone

    def _drop(self, uid: Uid, *, queued: bool) -> None:
        """Drop a payload; nobody can be asked about its sample any more."""
        self._db.execute(_DROP, (uid,))
        self._db.execute(_NO_CONTROL, (uid,))
        if queued:
            self._db.execute(_EXPIRE, (uid,))


def _place(uid: Uid, suffix: str) -> Place:
    return Place("payload", f"content{suffix}", uid)
