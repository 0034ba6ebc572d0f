"""Annotations and what waits for people in a device's SQLite file. A part of ``store``.

The rows of one sample within a transaction are in ``sample_transaction``; here are the
queries over all of them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from typing_extensions import override

from fedask.client.records.annotation import Annotation, LabellingProgress
from fedask.client.records.audit import NO_AUDIT
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.records.sample_record import AnnotationStore, SampleTransaction
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.sample_transaction import SqliteSampleTransaction
from fedask.common.errors import PrivacyError, ProtocolError
from fedask.common.ids import Annotator, Uid

_LAST = (
    f"SELECT {schema.ANNOTATION} FROM annotation "  # noqa: S608  (a constant)
    "WHERE ?1 IS NULL OR annotator = ?1 ORDER BY number DESC LIMIT ?2"
)
_LAST_OF_ONE = _LAST.replace("?1 IS NULL OR ", "")  # so that the index is used
_NUMBER = f"SELECT {schema.ANNOTATION} FROM annotation WHERE number = ?"  # noqa: S608  (a constant)
_CONTROLS = (
    f"SELECT {schema.ANNOTATION} FROM annotation "  # noqa: S608  (a constant)
    "WHERE control = 1 AND undone IS NULL ORDER BY number"
)
_LABEL = "SELECT label FROM item WHERE uid = ?"
_STATES = "SELECT state, count(*) FROM item GROUP BY state ORDER BY 1"
_LABELS = "SELECT uid, label FROM item WHERE state IN ('labelled', 'trained')"
_PEOPLE = """SELECT max(number), count(*) FROM annotation WHERE undone IS NULL
    GROUP BY annotator"""
_SINCE = "SELECT count(*) FROM annotation WHERE undone IS NULL AND at >= ?"
_NEAR = """SELECT other FROM near_duplicate AS near JOIN item ON item.uid = other
    WHERE near.uid = ? AND state IN ('queued', 'leased') ORDER BY other"""
_WAITING = """SELECT uid, priority FROM item INDEXED BY item_waiting
    WHERE state IN ('queued', 'leased') ORDER BY priority DESC, cycle, uid"""


class SqliteAnnotations(AnnotationStore):
    """The annotations of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cipher = connection.cipher

    @contextmanager
    @override
    def transaction(self) -> Iterator[SampleTransaction]:
        audit = self._connection.audit
        try:
            with self._connection.transaction():
                yield SqliteSampleTransaction(self._connection)
        except (ProtocolError, PrivacyError):
            if audit is not NO_AUDIT:
                with self._connection.transaction() as db:
                    audit.append(db, Event.REFUSED, place="desk")
            raise

    @override
    def newest(self, limit: int, annotator: Annotator | None) -> list[Annotation]:
        query, who = _LAST, None
        if annotator is not None:
            query, who = _LAST_OF_ONE, self._cipher.who(annotator)
        with self._connection.reading() as db:
            rows = db.execute(query, (who, max(0, limit)))
            return list(map(self._cipher.annotation, rows))

    @override
    def progress(self, since: datetime) -> LabellingProgress:
        # Labels and names are opened to be counted.
        with self._connection.snapshot() as db:
            labels = db.execute(_LABELS)
            classes = Counter(self._cipher.label(uid, label) for uid, label in labels)
            (today,) = db.execute(_SINCE, (schema.to_text(since),)).fetchone()
            return LabellingProgress(
                states={ItemState(state): n for state, n in db.execute(_STATES)},
                classes={
                    k: n for k, n in sorted(classes.items(), key=str) if k is not None
                },
                annotators=self._people(db),
                today=today,
                controls=self._controls(db),
            )

    @override
    def near(self, uid: Uid) -> list[Uid]:
        with self._connection.reading() as db:
            return [Uid(other) for (other,) in db.execute(_NEAR, (uid,))]

    @override
    def waiting(self) -> list[tuple[Uid, float]]:
        with self._connection.reading() as db:
            return [(Uid(uid), score) for uid, score in db.execute(_WAITING)]

    def _people(self, db: sqlite3.Connection) -> dict[Annotator, int]:
        """Count the annotations of each annotator; one of each tells the name."""
        people = db.execute(_PEOPLE).fetchall()
        last = (db.execute(_NUMBER, (number,)).fetchone() for number, _ in people)
        names = [self._cipher.annotation(row).annotator for row in last]
        return dict(sorted(zip(names, (count for _, count in people), strict=True)))

    def _controls(self, db: sqlite3.Connection) -> dict[Annotator, tuple[int, int]]:
        """Count, per annotator, the controls that were right, and all with a class."""
        right: dict[Annotator, tuple[int, int]] = {}
        for said in map(self._cipher.annotation, db.execute(_CONTROLS).fetchall()):
            row = db.execute(_LABEL, (said.uid,)).fetchone()
            truth = self._cipher.label(said.uid, row[0])
            if said.label is not None and truth is not None:
                hits, given = right.get(said.annotator, (0, 0))
                right[said.annotator] = (hits + (said.label == truth), given + 1)
        return dict(sorted(right.items()))
