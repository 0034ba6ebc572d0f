"""The server's cut and the arrivals of a stream in a device's SQLite file.

Parts of ``store``.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from typing_extensions import override

from fedask.client.records.arrival_pace import Pace
from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ArrivalStore, CutStore, check_pace
from fedask.client.records.erasure import ErasureStore
from fedask.client.records.label_queue import QueryOrigin
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.rights import SqliteRights
from fedask.client.store.sqlite.schema import CUT, PACE, note, put_note
from fedask.common.cut import Cut
from fedask.common.ids import Uid

_ARRIVE = """INSERT INTO item (uid, state, cycle, origin, right_until)
    VALUES (?, 'queued', ?, ?, ?) ON CONFLICT (uid) DO NOTHING"""
_DECIDE = "INSERT OR IGNORE INTO decided (uid) VALUES (?)"
_DECIDED = "SELECT uid FROM decided WHERE uid IN (SELECT value FROM json_each(?))"
_LAST_CYCLE = "SELECT coalesce(max(cycle), 0) FROM cycle"


@dataclass(slots=True)
class SqliteCuts(CutStore):
    """The last cut of one connection."""

    _connection: Connection

    @override
    def put(self, cut: Cut) -> None:
        with self._connection.transaction() as db:
            put_note(db, CUT, json.dumps(asdict(cut)).encode())

    @override
    def last(self) -> Cut | None:
        with self._connection.reading() as db:
            kept = note(db, CUT)
        if not kept:
            return None
        fields = json.loads(kept)
        return Cut(**{**fields, "theta": tuple(fields["theta"])})

    @override
    def last_cycle(self) -> int:
        with self._connection.reading() as db:
            return int(db.execute(_LAST_CYCLE).fetchone()[0])


@dataclass(slots=True)
class SqliteArrivals(ArrivalStore):
    """The pace of one connection, and the samples that were decided about."""

    _connection: Connection
    _erasure: ErasureStore
    _rights: SqliteRights

    @override
    def add(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        decided: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        with self._connection.transaction() as db:
            check_pace(note(db, PACE), before)
            barred = self._erasure.forgotten({*asked, *decided})
            db.executemany(_DECIDE, [(uid,) for uid in decided if uid not in barred])
            wanted = [uid for uid in asked if uid not in barred]
            ends = self._rights.ends(wanted)
            fresh = [
                uid
                for uid, end in zip(wanted, ends, strict=True)
                if db.execute(_ARRIVE, (uid, cycle, asked[uid].value, end)).rowcount
            ]
            if fresh:
                self._connection.audit.append(
                    db, Event.QUEUED, uids=fresh, cycle=cycle, source="arrival"
                )
            put_note(db, PACE, pace)
        return frozenset(fresh)

    @override
    def pace(self) -> bytes:
        with self._connection.reading() as db:
            return note(db, PACE)

    @override
    def decided(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        with self._connection.reading() as db:
            rows = db.execute(_DECIDED, (json.dumps(list(uids)),))
            return frozenset(Uid(uid) for (uid,) in rows)


def drop_last_batch(connection: Connection, uids: frozenset[Uid]) -> None:
    """Take samples out of the last batch of a stream; in a transaction."""
    pace = Pace.from_bytes(note(connection.db, PACE))
    if not uids.isdisjoint(pace.last):
        put_note(connection.db, PACE, pace.without(uids).to_bytes())
