"""The label queue in a device's SQLite file. A part of ``store``.

What the device does with its samples; what people do is the business of
``annotations``. Rows are never deleted on read.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from typing_extensions import override

from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.audit_event import MOVED, Event
from fedask.client.records.erasure import Training
from fedask.client.records.label_queue import (
    MOVES,
    ORACLE,
    Item,
    ItemState,
    LabelQueue,
    check_move,
    check_plain_move,
)
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.arrivals import SqliteCuts
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.erasure import SqliteErasure
from fedask.client.store.sqlite.rights import SqliteRights
from fedask.client.store.sqlite.sample_transaction import add_annotation, end_leases
from fedask.client.store.sqlite.scores import SqliteScores
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid

_ITEMS = f"SELECT {schema.ITEM} FROM item ORDER BY uid"  # noqa: S608  (a constant)
_ITEM = f"SELECT {schema.ITEM} FROM item WHERE uid = ?"  # noqa: S608  (a constant)
_ADD_CYCLE = "INSERT INTO cycle (cycle) VALUES (?)"
_QUEUE = """INSERT INTO item (uid, state, cycle, right_until)
    VALUES (?, 'queued', ?, ?) ON CONFLICT (uid) DO UPDATE
    SET state = 'queued', cycle = excluded.cycle, asked = asked + 1, origin = 'cut',
        right_until = excluded.right_until
    WHERE state = 'expired'"""
_ANSWER = """UPDATE item SET state = 'labelled', label = ?, leased_until = NULL,
    known = 1, votes = 1, outcome = coalesce(outcome, 'labelled') WHERE uid = ?"""
_MOVE = """UPDATE item SET state = ?1, leased_until = NULL,
    expired = expired + (?1 = 'expired' AND outcome IS NULL),
    outcome = coalesce(outcome, iif(?1 = 'skipped', ?1, NULL)) WHERE uid = ?2"""
_LABELLED = "SELECT label FROM item WHERE uid = ? AND state = 'labelled'"
_TRAINED = "UPDATE item SET state = 'trained' WHERE uid = ?"


class SqliteLabelQueue(LabelQueue):
    """The queue of one connection: what is asked needs a right, and waits by its score.

    Parameters
    ----------
    connection
        Opened.
    erasure, rights, scores, cuts
        Parts of the same store.
    """

    def __init__(
        self,
        connection: Connection,
        erasure: SqliteErasure,
        rights: SqliteRights,
        scores: SqliteScores,
        cuts: SqliteCuts,
    ) -> None:
        self._connection = connection
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
    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        with self._connection.transaction() as db:
            items = [self._item(db, uid) for uid in answers]
            fresh = [item for item in items if item.label is None]
            for item in fresh:
                check_move(item, ItemState.LABELLED)
                label = answers[item.uid]
                self._give(db, item.uid, annotator, Kind.GIVEN, label)
                sealed = self._cipher.seal_label(item.uid, label)
                db.execute(_ANSWER, (sealed, item.uid))
            told = [item.uid for item in fresh]
            if told:
                self._audit.append(
                    db, Event.LABELLED, uids=told, annotator=annotator, source="oracle"
                )
        return frozenset(told)

    @override
    def move(
        self, uids: Iterable[Uid], to: ItemState, *, meanwhile: bool = False
    ) -> None:
        wanted = list(uids)
        if not wanted:
            return
        with self._connection.transaction() as db:
            moved = []
            for uid in wanted:
                item = self._item(db, uid)
                if item.state is to or (meanwhile and to not in MOVES[item.state]):
                    continue
                check_plain_move(item, to)
                if to is ItemState.SKIPPED:
                    self._give(db, uid, ORACLE, Kind.SKIP, None)
                end_leases(db, uid)
                db.execute(_MOVE, (to.value, uid))
                moved.append(uid)
            if moved:
                self._audit.append(db, MOVED[to], uids=moved)

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

    def _give(
        self,
        db: sqlite3.Connection,
        uid: Uid,
        annotator: Annotator,
        kind: Kind,
        label: int | None,
    ) -> None:
        """Keep what an oracle said, and end what people hold of the sample."""
        said = Annotation(uid=uid, annotator=annotator, kind=kind, label=label, at=None)
        add_annotation(db, self._cipher, said)
        end_leases(db, uid)

    def _item(self, db: sqlite3.Connection, uid: str) -> Item:
        row = db.execute(_ITEM, (uid,)).fetchone()
        if row is None:
            msg = f"sample {uid} is not in the queue"
            raise StoreError(msg)
        return self._cipher.item(row)
