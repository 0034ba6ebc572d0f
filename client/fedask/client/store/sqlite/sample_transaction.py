"""One sample's rows in a device's SQLite file: item, leases, annotations.

Called by the desk through ``annotations``, within a transaction. Nothing here decides
anything: what a row becomes is decided in ``SampleRecord``.
"""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from fedask.client.records.annotation import Annotation
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.refusal import UnknownSampleError
from fedask.client.records.sample_record import (
    LeaseRecord,
    SampleRecord,
    SampleTransaction,
)
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection
from fedask.common.ids import Annotator, Uid

_LABEL = schema.ITEM.split(", ").index("label")
_ITEM = f"SELECT {schema.ITEM} FROM item WHERE uid = ?"  # noqa: S608  (constants)
_OF = f"SELECT {schema.ANNOTATION} FROM annotation WHERE uid = ? ORDER BY number"  # noqa: S608  (a constant)
_BY_KEY = (
    f"SELECT {schema.ANNOTATION} FROM annotation INDEXED BY annotation_key "  # noqa: S608  (a constant)
    "WHERE annotator = ? AND key = ? AND key <> x'' ORDER BY number"
)
_STANDING = """SELECT key FROM annotation WHERE annotator = ? AND undone IS NULL
    AND key <> x'' AND NOT EXISTS (SELECT 1 FROM lease
        WHERE lease.uid = annotation.uid AND lease.annotator = annotation.annotator
        AND until IS NOT NULL)
    ORDER BY number DESC LIMIT 1"""
_LEASES = "SELECT annotator, content, until, control FROM lease WHERE uid = ?"
_PUT_ITEM = """UPDATE item SET state = ?, label = ?, asked = ?, expired = ?,
    leased_until = ?, outcome = ?, leases = ?, votes = ?, known = ? WHERE uid = ?"""
_PUT_LEASE = """INSERT OR REPLACE INTO lease (uid, annotator, content, until, control)
    VALUES (?, ?, ?, ?, ?)"""
_MOVE_LEASE = """UPDATE lease SET until = ?, control = ?
    WHERE uid = ? AND annotator = ?"""
_ADD_ANNOTATION = """INSERT INTO annotation
    (uid, annotator, kind, at, key, content, undone, control, place)
    VALUES (:uid, :annotator, :kind, :at, :key, :content, :undone, :control, :place)"""
_TAKE_BACK = "UPDATE annotation SET undone = ? WHERE number = ? AND undone IS NULL"
# INDEXED BY: what SQLite guesses without statistics reads the whole queue.
_OPEN = """SELECT uid FROM item INDEXED BY item_waiting
    WHERE state IN ('queued', 'leased')
    AND leases < max(1, ?1 - votes)
    AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.uid = item.uid
        AND annotator = ?2 AND until IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM annotation WHERE annotation.uid = item.uid
        AND annotator = ?2 AND undone IS NULL AND control = 0)
    ORDER BY priority DESC, cycle, uid LIMIT ?3"""
_CONTROL = """SELECT uid FROM item WHERE known = 1 AND uid >= ?1
    AND (right_until IS NULL OR right_until > ?3)
    AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.uid = item.uid AND annotator = ?2)
    AND NOT EXISTS (SELECT 1 FROM annotation WHERE annotation.uid = item.uid
        AND annotator = ?2)
    ORDER BY uid LIMIT 1"""
_LEASED = """SELECT uid FROM lease WHERE annotator = ? AND until IS NOT NULL
    ORDER BY uid"""
_OVER = """SELECT uid FROM lease INDEXED BY lease_until
    WHERE until < ?1 AND until IS NOT NULL
    UNION SELECT uid FROM lease INDEXED BY lease_until
    WHERE until > ?2 AND until IS NOT NULL ORDER BY uid"""
_LAPSED = """SELECT uid FROM item INDEXED BY item_right
    WHERE right_until <= ?1 AND right_until IS NOT NULL
    AND state IN ('queued', 'leased')
    UNION SELECT item.uid FROM lease INDEXED BY lease_until CROSS JOIN item
    WHERE lease.until > '' AND item.uid = lease.uid
    AND item.right_until <= ?1 ORDER BY 1"""
_MAY_SHOW = "SELECT right_until IS NULL OR right_until > ? FROM item WHERE uid = ?"
_ALL_LEASED = "SELECT DISTINCT uid FROM lease WHERE until IS NOT NULL ORDER BY uid"


class SqliteSampleTransaction(SampleTransaction):
    """The rows of one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection.db
        self._cipher = connection.cipher
        self._audit = connection.audit
        # What was read, and its sealed label: only what has changed is sealed anew.
        self._before: dict[Uid, tuple[SampleRecord, bytes | None]] = {}

    @override
    def read(self, uid: Uid) -> SampleRecord:
        row = self._db.execute(_ITEM, (uid,)).fetchone()
        if row is None:
            raise UnknownSampleError(f"sample {uid} is not in the queue")
        leases = [self._cipher.lease(uid, r) for r in self._db.execute(_LEASES, (uid,))]
        sample = SampleRecord(
            item=self._cipher.item(row),
            annotations=tuple(
                map(self._cipher.annotation, self._db.execute(_OF, (uid,)))
            ),
            leases=tuple(sorted(leases, key=lambda lease: lease.annotator)),
        )
        self._before[uid] = (sample, row[_LABEL])
        return sample

    @override
    def write(self, sample: SampleRecord) -> None:
        item = sample.item
        before, sealed = self._before[item.uid]
        for annotation in sample.annotations:
            if not annotation.number:
                self._add(annotation)
            elif annotation.undone is not None:
                row = (schema.to_text(annotation.undone), annotation.number)
                self._db.execute(_TAKE_BACK, row)
        for lease in sample.leases:
            if lease not in before.leases:
                self._write_lease(item.uid, lease, before.lease_of(lease.annotator))
        if item.label != before.item.label:
            sealed = self._cipher.seal_label(item.uid, item.label)
        self._before[item.uid] = (sample, sealed)
        standing = (item.state, sealed, item.asked, item.expired)
        until = _time(item.leased_until)
        derived = (len(sample.running), sample.votes, sample.known)
        self._db.execute(
            _PUT_ITEM, (*standing, until, item.outcome, *derived, item.uid)
        )

    def _add(self, annotation: Annotation) -> None:
        at = _time(annotation.at)
        row = {
            "uid": annotation.uid,
            "kind": annotation.kind,
            "at": at,
            "undone": _time(annotation.undone),
            "control": annotation.control,
            "place": annotation.place,
        }
        sealed = self._cipher.seal_annotation(annotation, at)
        self._db.execute(_ADD_ANNOTATION, row | sealed)

    def _write_lease(
        self, uid: Uid, lease: LeaseRecord, before: LeaseRecord | None
    ) -> None:
        who, until = self._cipher.who(lease.annotator), _time(lease.until)
        if before is not None and before.token == lease.token:
            self._db.execute(_MOVE_LEASE, (until, lease.control, uid, who))
        else:
            content = self._cipher.seal_lease(uid, lease)
            self._db.execute(_PUT_LEASE, (uid, who, content, until, lease.control))

    @override
    def open_for(self, annotator: Annotator, limit: int, quorum: int) -> list[Uid]:
        rows = self._db.execute(_OPEN, (quorum, self._cipher.who(annotator), limit))
        return [Uid(uid) for (uid,) in rows]

    @override
    def control_for(
        self, annotator: Annotator, start: Uid, now: datetime
    ) -> Uid | None:
        who = self._cipher.who(annotator)
        for first in (start, ""):
            wanted = (first, who, schema.to_text(now))
            row = self._db.execute(_CONTROL, wanted).fetchone()
            if row is not None:
                return Uid(row[0])
        return None

    @override
    def leased(
        self,
        annotator: Annotator | None = None,
        outside: tuple[datetime, datetime] | None = None,
    ) -> list[Uid]:
        if annotator is not None:
            rows = self._db.execute(_LEASED, (self._cipher.who(annotator),))
        elif outside is not None:
            rows = self._db.execute(_OVER, [schema.to_text(time) for time in outside])
        else:
            rows = self._db.execute(_ALL_LEASED)
        return [Uid(uid) for (uid,) in rows]

    @override
    def lapsed(self, now: datetime) -> list[Uid]:
        rows = self._db.execute(_LAPSED, (schema.to_text(now),))
        return [Uid(uid) for (uid,) in rows]

    @override
    def may_show(self, uid: Uid, now: datetime) -> bool:
        row = self._db.execute(_MAY_SHOW, (schema.to_text(now), uid)).fetchone()
        return row is not None and bool(row[0])

    @override
    def record(
        self,
        event: Event,
        uids: Sequence[Uid],
        now: datetime | None,
        annotator: Annotator | None = None,
        **facts: Fact,
    ) -> None:
        audit = self._audit
        audit.append(self._db, event, uids=uids, annotator=annotator, at=now, **facts)

    @override
    def given(self, annotator: Annotator, key: str | None) -> list[Annotation]:
        who = self._cipher.who(annotator)
        if key is not None:
            return self._by_key(who, self._cipher.key(annotator, key))
        row = self._db.execute(_STANDING, (who,)).fetchone()
        if row is None:
            return []
        held = {uid for (uid,) in self._db.execute(_LEASED, (who,))}
        return [
            annotation
            for annotation in self._by_key(who, row[0])
            if annotation.undone is None and annotation.uid not in held
        ]

    def _by_key(self, who: bytes, key: bytes) -> list[Annotation]:
        return list(map(self._cipher.annotation, self._db.execute(_BY_KEY, (who, key))))


def _time(time: datetime | None) -> str | None:
    return None if time is None else schema.to_text(time)
