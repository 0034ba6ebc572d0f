"""What a stream of new samples needs between batches, in a device's SQLite file.

Part of the store: see ``store.SqliteStore``.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ArrivalStore, check_pace
from fedask.client.records.label_queue import QueryOrigin
from fedask.client.store.sqlite.note import CUT, PACE, note, put_note
from fedask.client.store.sqlite.rights import SqliteRights
from fedask.common.cut import Cut
from fedask.common.ids import Uid

_ARRIVE = """INSERT INTO item (uid, state, cycle, origin, right_until)
    VALUES (?, 'queued', ?, ?, ?) ON CONFLICT (uid) DO NOTHING"""
_TAKE = "INSERT OR IGNORE INTO taken (uid) VALUES (?)"
_TAKEN = "SELECT uid FROM taken WHERE uid IN (SELECT value FROM json_each(?))"


class SqliteArrivals(SqliteRights, ArrivalStore):
    """The last cut, the pace, and what was decided about on arrival."""

    @override
    def put_cut(self, cut: Cut) -> None:
        with self._transaction() as db:
            put_note(db, CUT, json.dumps(asdict(cut)).encode())

    @override
    def cut(self) -> Cut | None:
        with self._reading() as db:
            kept = note(db, CUT)
        if not kept:
            return None
        fields = json.loads(kept)
        return Cut(**{**fields, "theta": tuple(fields["theta"])})

    @override
    def add_arrivals(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        taken: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        with self._transaction() as db:
            check_pace(note(db, PACE), before)
            barred = self._eraser.forgotten({*asked, *taken})
            db.executemany(_TAKE, [(uid,) for uid in taken if uid not in barred])
            wanted = [uid for uid in asked if uid not in barred]
            ends = self._right_ends(db, wanted)
            fresh = frozenset(
                uid
                for uid, end in zip(wanted, ends, strict=True)
                if db.execute(_ARRIVE, (uid, cycle, asked[uid].value, end)).rowcount
            )
            if fresh:
                uids = [uid for uid in asked if uid in fresh]
                self._audit.append(
                    db, Event.QUEUED, uids=uids, cycle=cycle, source="arrival"
                )
            put_note(db, PACE, pace)
        return fresh

    @override
    def pace(self) -> bytes:
        with self._reading() as db:
            return note(db, PACE)

    @override
    def taken(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        with self._reading() as db:
            rows = db.execute(_TAKEN, (json.dumps(list(uids)),))
            return frozenset(Uid(uid) for (uid,) in rows)
