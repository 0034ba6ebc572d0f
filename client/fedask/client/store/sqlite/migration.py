"""Seals what a file of an older version holds in clear. Called by ``schema``, once.

Within the transaction that changes the tables: a process that dies leaves the old file.
The old tables are dropped; until the file is vacuumed, their pages are still there.
"""

import sqlite3
from datetime import datetime

import numpy as np

from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.sample_record import LeaseRecord
from fedask.client.store.keys.row_cipher import RowCipher
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

_ADD_ITEM = """INSERT INTO item (uid, state, cycle, label, asked, expired, leased_until,
    origin, priority, taken, votes, known, outcome)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ITEMS = """SELECT uid, state, cycle, label, asked, expired, leased_until, origin,
    priority, taken, votes, known, outcome FROM plain_item"""
_ADD_ANNOTATION = """INSERT INTO annotation
    (number, uid, annotator, kind, at, key, said, undone, control, place)
    VALUES (:number, :uid, :annotator, :kind, :at, :key, :said, :undone, :control,
        :place)"""
_ANNOTATIONS = """SELECT number, uid, annotator, kind, label, at, key, token, undone,
    control, place FROM plain_annotation ORDER BY number"""
_ADD_LEASE = """INSERT INTO lease (uid, annotator, held, until, control)
    VALUES (?, ?, ?, ?, ?)"""
_LEASES = "SELECT uid, annotator, token, until, control FROM plain_lease"
_ADD_QUERY_RECORD = """INSERT INTO query_record
    (uid, cycle, experts, descriptors, levels, found, finding)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_QUERY_RECORDS = """SELECT uid, cycle, experts, descriptors, levels, found, truth, hit
    FROM plain_query_record"""
_SCORING = "SELECT model_version, uids, scores, groups FROM plain_scoring"
_ADD_SCORING = """INSERT INTO scoring (one, model_version, uids, scores, groups)
    VALUES (1, ?, ?, ?, ?)"""


def seal_rows(db: sqlite3.Connection, sealer: RowCipher) -> None:
    """Move every row of the ``plain_`` tables to its new table, and drop those."""
    _items(db, sealer)
    _annotations(db, sealer)
    _leases(db, sealer)
    _query_records(db, sealer)
    for version, uids, scores, groups in db.execute(_SCORING).fetchall():
        scored = Scored(
            np.array(uids.split(), dtype=np.str_),
            np.frombuffer(scores, dtype="<f4"),
            np.frombuffer(groups, dtype="<i4").astype(np.int64),
        )
        db.execute(_ADD_SCORING, (version, *sealer.seal_scores(scored)))
    drop_plain(db)


def drop_plain(db: sqlite3.Connection) -> None:
    """Drop the ``plain_`` tables."""
    for name in ("item", "annotation", "lease", "query_record", "scoring"):
        db.execute(f"DROP TABLE plain_{name}")


def _items(db: sqlite3.Connection, sealer: RowCipher) -> None:
    # A reading and a writing cursor: the old queue need not fit into memory.
    for uid, state, cycle, label, *rest in db.execute(_ITEMS):
        sealed = sealer.seal_label(uid, label)
        db.execute(_ADD_ITEM, (uid, state, cycle, sealed, *rest))


def _annotations(db: sqlite3.Connection, sealer: RowCipher) -> None:
    for row in db.execute(_ANNOTATIONS):
        number, uid, annotator, kind, label, at, key, token, undone, control, place = (
            row
        )
        annotation = Annotation(
            uid=Uid(uid),
            annotator=Annotator(annotator),
            kind=Kind(kind),
            label=label,
            at=None if at is None else datetime.fromisoformat(at),
            key=key,
            token=token,
            control=bool(control),
            place=place,
        )
        fields = {"number": number, "uid": uid, "kind": kind, "at": at}
        fields |= {"undone": undone, "control": control, "place": place}
        db.execute(_ADD_ANNOTATION, fields | sealer.seal_annotation(annotation, at))


def _leases(db: sqlite3.Connection, sealer: RowCipher) -> None:
    for uid, annotator, token, until, control in db.execute(_LEASES):
        lease = LeaseRecord(annotator=Annotator(annotator), token=token, until=None)
        row = (uid, sealer.who(lease.annotator), sealer.seal_lease(uid, lease))
        db.execute(_ADD_LEASE, (*row, until, control))


def _query_records(db: sqlite3.Connection, sealer: RowCipher) -> None:
    for uid, *clear, found, truth, hit in db.execute(_QUERY_RECORDS):
        finding = None
        if found is not None:
            finding = sealer.seal_finding(uid, truth, hit=bool(hit))
        db.execute(_ADD_QUERY_RECORD, (uid, *clear, found, finding))
