"""The label queue in a device's SQLite file. A part of ``store``.

Here is what the device does with its samples; what people do is in ``annotations``.
Rows are never deleted on read.
"""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import Item
from fedask.client.records.record_queue import RecordQueue
from fedask.client.records.sample_record import AnnotationStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.arrivals import SqliteCuts
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.erasure import SqliteErasure
from fedask.client.store.sqlite.rights import SqliteRights
from fedask.client.store.sqlite.scores import SqliteScores
from fedask.common.ids import Uid

_ITEMS = f"SELECT {schema.ITEM} FROM item ORDER BY uid"  # noqa: S608  (a constant)
_ADD_CYCLE = "INSERT INTO cycle (cycle) VALUES (?)"
_QUEUE = """INSERT INTO item (uid, state, cycle, right_until)
    VALUES (?, 'queued', ?, ?) ON CONFLICT (uid) DO UPDATE
    SET state = 'queued', cycle = excluded.cycle, asked = asked + 1, origin = 'cut',
        right_until = excluded.right_until
    WHERE state = 'expired'"""
_LABELLED = "SELECT label FROM item WHERE uid = ? AND state = 'labelled'"
_TRAINED = "UPDATE item SET state = 'trained' WHERE uid = ?"


class SqliteLabelQueue(RecordQueue):
    """The queue of one connection: a sample needs a right, and waits by its score."""

    def __init__(
        self,
        connection: Connection,
        annotations: AnnotationStore,
        erasure: SqliteErasure,
        rights: SqliteRights,
        scores: SqliteScores,
        cuts: SqliteCuts,
    ) -> None:
        self._connection = connection
        self._annotations = annotations
        self._audit = connection.audit
        self._cipher = connection.cipher
        self._erasure = erasure
        self._rights = rights
        self._scores = scores
        self._cuts = cuts
        self._kept: tuple[tuple[int, int], list[Item]] | None = None  # see items

    @override
    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        with self._connection.transaction() as db:
            if cycle <= self._cuts.last_cycle():
                return False
            db.execute(_ADD_CYCLE, (cycle,))
            barred = self._erasure.forgotten(uids)
            fresh = [uid for uid in uids if uid not in barred]
            queued = zip(fresh, self._rights.ends(fresh), strict=True)
            db.executemany(_QUEUE, [(uid, cycle, end) for uid, end in queued])
            self._audit.append(db, Event.QUEUED, uids=fresh, cycle=cycle)
            self._scores.rank(uids)
        return True

    @override
    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        with self._connection.reading():
            if training is not None and self._erasure.covers(training):
                training = None
        if not labels and training is None:
            return
        with self._connection.transaction() as db:
            changed = []
            for uid, label in labels.items():
                row = db.execute(_LABELLED, (uid,)).fetchone()
                if row and self._cipher.label(uid, row[0]) == label:
                    db.execute(_TRAINED, (uid,))
                    changed.append(uid)
            if changed:
                self._audit.append(db, Event.TRAINED, uids=changed)
            if training is not None:
                self._erasure.record(training)

    @override
    def items(self) -> list[Item]:
        # Most rounds read two numbers, not the queue: SQLite's ``data_version`` changes
        # when another connection commits, ``total_changes`` when this one writes.
        with self._connection.reading() as db:
            others = int(db.execute("PRAGMA data_version").fetchone()[0])
            version = (others, db.total_changes)
            if self._kept is None or self._kept[0] != version:
                items = [self._cipher.item(row) for row in db.execute(_ITEMS)]
                self._kept = (version, items)
            return list(self._kept[1])
