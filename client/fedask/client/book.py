"""The desk's rows in a device's SQLite file. Called by the store, within a transaction.

Nothing here decides anything: what a row becomes is worked out in ``sheet``.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from fedask.client import schema
from fedask.client.audit import NO_AUDIT, Audit, Event
from fedask.client.queue import State
from fedask.client.sheet import Book, Hold, Sheet
from fedask.client.verdict import Kind, Progress, Verdict
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid

_VERDICT = "number, uid, annotator, kind, label, at, key, token, undone, control, place"
_ITEM = f"SELECT {schema.COLUMNS} FROM item WHERE uid = ?"  # noqa: S608  (constants)
_OF = f"SELECT {_VERDICT} FROM verdict WHERE uid = ? ORDER BY number"  # noqa: S608
_LAST = (
    f"SELECT {_VERDICT} FROM verdict "  # noqa: S608
    "WHERE ?1 IS NULL OR annotator = ?1 ORDER BY number DESC LIMIT ?2"
)
_LAST_OF_ONE = _LAST.replace("?1 IS NULL OR ", "")  # so that the index is used
_BY_KEY = (
    f"SELECT {_VERDICT} FROM verdict INDEXED BY verdict_key "  # noqa: S608
    "WHERE annotator = ? AND key = ? AND key <> '' ORDER BY number"
)
_STANDING = """SELECT key FROM verdict WHERE annotator = ? AND undone IS NULL
    AND key <> '' AND NOT EXISTS (SELECT 1 FROM lease
        WHERE lease.uid = verdict.uid AND lease.annotator = verdict.annotator
        AND until IS NOT NULL)
    ORDER BY number DESC LIMIT 1"""
_HOLDS = """SELECT annotator, token, until, control FROM lease WHERE uid = ?
    ORDER BY annotator"""
_PUT_ITEM = """UPDATE item SET state = ?, label = ?, asked = ?, expired = ?,
    leased_until = ?, outcome = ?, taken = ?, votes = ?, known = ? WHERE uid = ?"""
_PUT_HOLD = """INSERT OR REPLACE INTO lease (uid, annotator, token, until, control)
    VALUES (?, ?, ?, ?, ?)"""
_ADD_VERDICT = """INSERT INTO verdict
    (uid, annotator, kind, label, at, key, token, undone, control, place)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TAKE_BACK = "UPDATE verdict SET undone = ? WHERE number = ? AND undone IS NULL"
# INDEXED BY: what SQLite guesses without statistics reads the whole queue.
_OPEN = """SELECT uid FROM item INDEXED BY item_waiting
    WHERE state IN ('queued', 'leased')
    AND taken < max(1, ?1 - votes)
    AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.uid = item.uid
        AND annotator = ?2 AND until IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM verdict WHERE verdict.uid = item.uid
        AND annotator = ?2 AND undone IS NULL AND control = 0)
    ORDER BY priority DESC, cycle, uid LIMIT ?3"""
_CONTROL = """SELECT uid FROM item WHERE known = 1 AND uid >= ?1
    AND (right_until IS NULL OR right_until > ?3)
    AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.uid = item.uid AND annotator = ?2)
    AND NOT EXISTS (SELECT 1 FROM verdict WHERE verdict.uid = item.uid
        AND annotator = ?2)
    ORDER BY uid LIMIT 1"""
_HELD = """SELECT uid FROM lease WHERE annotator = ? AND until IS NOT NULL
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
_ALL_HELD = "SELECT DISTINCT uid FROM lease WHERE until IS NOT NULL ORDER BY uid"
_END_LEASES = """UPDATE lease SET until = NULL WHERE uid = ? AND until IS NOT NULL
    AND control = 0"""
_CLEAR_TAKEN = "UPDATE item SET taken = 0 WHERE uid = ?"
_NEAR = """SELECT other FROM near JOIN item ON item.uid = near.other
    WHERE near.uid = ? AND state IN ('queued', 'leased') ORDER BY other"""
_ADD_NEAR = "INSERT OR IGNORE INTO near (uid, other) VALUES (?1, ?2), (?2, ?1)"
_RANK = "UPDATE item SET priority = ? WHERE uid = ? AND priority <> ?1"


class SqliteBook(Book):
    """The rows of one open transaction.

    Parameters
    ----------
    db
        Within a transaction.
    audit
        Records what the desk does.
    """

    def __init__(self, db: sqlite3.Connection, audit: Audit = NO_AUDIT) -> None:
        self._db = db
        self._audit = audit

    @override
    def sheet(self, uid: Uid) -> Sheet:
        row = self._db.execute(_ITEM, (uid,)).fetchone()
        if row is None:
            msg = f"sample {uid} is not in the queue"
            raise StoreError(msg)
        holds = [_to_hold(each) for each in self._db.execute(_HOLDS, (uid,))]
        return Sheet(
            item=schema.to_item(row),
            verdicts=tuple(_to_verdicts(self._db.execute(_OF, (uid,)))),
            holds=tuple(holds),
        )

    @override
    def write(self, sheet: Sheet) -> None:
        item = sheet.item
        for verdict in sheet.verdicts:
            if not verdict.number:
                self._db.execute(_ADD_VERDICT, _from_verdict(verdict))
            elif verdict.undone is not None:
                row = (schema.to_text(verdict.undone), verdict.number)
                self._db.execute(_TAKE_BACK, row)
        for hold in sheet.holds:
            until = _time(hold.until)
            held = (item.uid, hold.annotator, hold.token, until, hold.control)
            self._db.execute(_PUT_HOLD, held)
        standing = (item.state, item.label, item.asked, item.expired)
        until = _time(item.leased_until)
        derived = (len(sheet.running), sheet.votes, sheet.known)
        self._db.execute(
            _PUT_ITEM, (*standing, until, item.outcome, *derived, item.uid)
        )

    @override
    def open_for(self, annotator: Annotator, limit: int, quorum: int) -> list[Uid]:
        rows = self._db.execute(_OPEN, (quorum, annotator, limit))
        return [Uid(uid) for (uid,) in rows]

    @override
    def control_for(
        self, annotator: Annotator, start: Uid, now: datetime
    ) -> Uid | None:
        for first in (start, ""):
            wanted = (first, annotator, schema.to_text(now))
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
            rows = self._db.execute(_HELD, (annotator,))
        elif outside is not None:
            rows = self._db.execute(_OVER, [schema.to_text(time) for time in outside])
        else:
            rows = self._db.execute(_ALL_HELD)
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
        now: datetime,
        annotator: Annotator | None = None,
    ) -> None:
        self._audit.append(self._db, event, uids=uids, annotator=annotator, at=now)

    @override
    def given(self, annotator: Annotator, key: str | None) -> list[Verdict]:
        if key is not None:
            return _to_verdicts(self._db.execute(_BY_KEY, (annotator, key)))
        row = self._db.execute(_STANDING, (annotator,)).fetchone()
        if row is None:
            return []
        held = {uid for (uid,) in self._db.execute(_HELD, (annotator,))}
        return [
            verdict
            for verdict in _to_verdicts(self._db.execute(_BY_KEY, (annotator, row[0])))
            if verdict.undone is None and verdict.uid not in held
        ]


def end_leases(db: sqlite3.Connection, uid: Uid) -> None:
    """End whatever people hold of a sample that the device moves."""
    db.execute(_END_LEASES, (uid,))
    db.execute(_CLEAR_TAKEN, (uid,))


def verdicts(
    db: sqlite3.Connection, limit: int, annotator: Annotator | None
) -> list[Verdict]:
    """Return the last verdicts, newest first."""
    query = _LAST if annotator is None else _LAST_OF_ONE
    return _to_verdicts(db.execute(query, (annotator, max(0, limit))))


def progress(db: sqlite3.Connection, since: datetime) -> Progress:
    """Count items and verdicts."""
    states = db.execute("SELECT state, count(*) FROM item GROUP BY state ORDER BY 1")
    classes = db.execute(
        "SELECT label, count(*) FROM item WHERE state IN ('labelled', 'trained') "
        "GROUP BY label ORDER BY label"
    )
    people = db.execute(
        "SELECT annotator, count(*) FROM verdict WHERE undone IS NULL "
        "GROUP BY annotator ORDER BY annotator"
    )
    (today,) = db.execute(
        "SELECT count(*) FROM verdict WHERE undone IS NULL AND at >= ?",
        (schema.to_text(since),),
    ).fetchone()
    controls = db.execute(
        "SELECT annotator, sum(verdict.label = item.label), count(*) "
        "FROM verdict JOIN item USING (uid) WHERE control = 1 AND undone IS NULL "
        "AND verdict.label IS NOT NULL AND item.label IS NOT NULL "
        "GROUP BY annotator ORDER BY annotator"
    )
    return Progress(
        states={State(state): count for state, count in states},
        classes=dict(classes.fetchall()),
        annotators={Annotator(name): count for name, count in people},
        today=today,
        controls={Annotator(name): (right, n) for name, right, n in controls},
    )


def near(db: sqlite3.Connection, uid: Uid) -> list[Uid]:
    """Return the near-duplicates of a sample that wait, by uid."""
    return [Uid(other) for (other,) in db.execute(_NEAR, (uid,))]


def put_near(db: sqlite3.Connection, pairs: Iterable[tuple[Uid, Uid]]) -> None:
    """Replace the pairs of near-duplicates."""
    db.execute("DELETE FROM near")
    db.executemany(_ADD_NEAR, pairs)


def rank(db: sqlite3.Connection, scores: Iterable[tuple[float, str]]) -> None:
    """Set the scores that samples are handed out by."""
    db.executemany(_RANK, scores)


def add_verdict(db: sqlite3.Connection, verdict: Verdict) -> None:
    """Append a verdict as it is."""
    db.execute(_ADD_VERDICT, _from_verdict(verdict))


def _time(time: datetime | None) -> str | None:
    return None if time is None else schema.to_text(time)


def _from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _from_verdict(verdict: Verdict) -> tuple[object, ...]:
    said = (verdict.uid, verdict.annotator, verdict.kind, verdict.label)
    how = (_time(verdict.at), verdict.key, verdict.token, _time(verdict.undone))
    return (*said, *how, verdict.control, verdict.place)


def _to_verdicts(rows: Iterable[Sequence[Any]]) -> list[Verdict]:
    return [
        Verdict(
            number=number,
            uid=Uid(uid),
            annotator=Annotator(annotator),
            kind=Kind(kind),
            label=label,
            at=_from_text(at),
            key=key,
            token=token,
            undone=_from_text(undone),
            control=bool(control),
            place=place or number,
        )
        for (
            number,
            uid,
            annotator,
            kind,
            label,
            at,
            key,
            token,
            undone,
            control,
            place,
        ) in rows
    ]


def _to_hold(row: Sequence[Any]) -> Hold:
    annotator, token, until, control = row
    return Hold(
        annotator=Annotator(annotator),
        token=token,
        until=_from_text(until),
        control=bool(control),
    )
