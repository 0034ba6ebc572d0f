"""The device's SQLite file: queue, labels, scores. Never touched by the server.

Called by the device, the labelling service and the trainer. WAL with
``synchronous=FULL``: an answer that was acknowledged survives a power cut.
Every transition is one ``BEGIN IMMEDIATE``, so that processes may share the file.
Rows are never deleted on read. One connection per thread.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client import book as rows
from fedask.client import right_rows, schema
from fedask.client.audit import MOVED, NO_AUDIT, Audit, Event, Fact
from fedask.client.permitted import Permits
from fedask.client.precedents import MAX_PRECEDENTS, Finding, Precedent
from fedask.client.queue import (
    MOVES,
    ORACLE,
    DeviceStore,
    Item,
    Origin,
    State,
    Waiting,
    check_move,
    check_pace,
    check_plain_move,
)
from fedask.client.seen import seen
from fedask.client.sheet import Book, VerdictStore
from fedask.client.verdict import Kind, Progress, Verdict
from fedask.common.errors import PrivacyError, ProtocolError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid
from fedask.common.records import Cut
from fedask.common.weights import Arrays, from_bytes, to_bytes

BUSY_TIMEOUT_MS = 10_000
_WAL_TRIES, _WAL_PAUSE_S = 200, 0.05  # together as long as the busy time-out

_ITEMS = f"SELECT {schema.COLUMNS} FROM item ORDER BY uid"  # noqa: S608  (a constant)
_ITEM = f"SELECT {schema.COLUMNS} FROM item WHERE uid = ?"  # noqa: S608
_QUEUE = """INSERT INTO item (uid, state, cycle, right_until)
    VALUES (?, 'queued', ?, ?) ON CONFLICT (uid) DO UPDATE
    SET state = 'queued', cycle = excluded.cycle, asked = asked + 1, origin = 'cut',
        right_until = excluded.right_until
    WHERE state = 'expired'"""
_ARRIVE = """INSERT INTO item (uid, state, cycle, origin, right_until)
    VALUES (?, 'queued', ?, ?, ?) ON CONFLICT (uid) DO NOTHING"""
_PUT_NOTE = "INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)"
_NOTE = "SELECT value FROM note WHERE name = ?"
_LAST_CYCLE = "SELECT COALESCE(MAX(cycle), 0) FROM cycle"
_ADD_CYCLE = "INSERT INTO cycle (cycle) VALUES (?)"
_ANSWER = """UPDATE item SET state = 'labelled', label = ?, leased_until = NULL,
    known = 1, votes = 1, outcome = coalesce(outcome, 'labelled') WHERE uid = ?"""
_MOVE = """UPDATE item SET state = ?1, leased_until = NULL,
    expired = expired + (?1 = 'expired' AND outcome IS NULL),
    outcome = coalesce(outcome, iif(?1 = 'skipped', ?1, NULL)) WHERE uid = ?2"""
_TRAINED = """UPDATE item SET state = 'trained'
    WHERE uid = ? AND state = 'labelled' AND label = ?"""
_PUT_SCORES = """INSERT OR REPLACE INTO scoring
    (one, model_version, uids, scores, groups) VALUES (1, ?, ?, ?, ?)"""
_PUT_MODEL = "INSERT INTO model (kind, arrays) VALUES (?, ?)"
_DROP_MODELS = """DELETE FROM model WHERE kind = ?1 AND number NOT IN
    (SELECT number FROM model WHERE kind = ?1 ORDER BY number DESC LIMIT ?2)"""
_MODELS = "SELECT arrays FROM model WHERE kind = ? ORDER BY number"
_PUT_ASKED = """INSERT INTO precedent (uid, cycle, experts, descriptors, levels)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE
    SET cycle = excluded.cycle, experts = excluded.experts,
        descriptors = excluded.descriptors, levels = excluded.levels
    WHERE found IS NULL"""
_DROP_PRECEDENTS = """DELETE FROM precedent WHERE uid IN
    (SELECT uid FROM precedent ORDER BY cycle DESC, uid LIMIT -1 OFFSET ?)"""
_PUT_FINDING = """UPDATE precedent SET found = ?, truth = ?, hit = ?
    WHERE uid = ? AND found IS NULL"""
_PRECEDENTS = f"SELECT {schema.PRECEDENT} FROM precedent ORDER BY uid"  # noqa: S608
_CUT, _PACE, _RIGHTS = "cut", "pace", right_rows.NOTE  # names of notes
_SCORES = "SELECT model_version, uids, scores, groups FROM scoring"


class SqliteStore(DeviceStore, VerdictStore):
    """The durable store.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist.
    audit
        Records every change. Without one, a file that has a log can only be read.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no fedask store, or is of a newer version, or
        its log is not what its head says; and from every method, if the disk refuses.
    """

    def __init__(self, path: Path, audit: Audit = NO_AUDIT) -> None:
        self._path = path
        self._audit = audit
        self._permits: Permits | None = None
        self._ready = True  # False until the tables are there, and the log is opened
        self._kept: tuple[int, list[Item], int] | None = None
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as err:
            msg = f"cannot open the store {path}: {err}"
            raise StoreError(msg) from err

    def _set_up(self) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self._use_wal()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version == schema.SCHEMA_VERSION and self._audit is NO_AUDIT:
            return
        if version > schema.SCHEMA_VERSION:
            msg = f"{self._path} was written by a newer fedask (schema {version})"
            raise StoreError(msg)
        self._ready = False
        with self._transaction() as db:
            # Asks again, under the lock: another process may have been first.
            schema.bring_up_to_date(db)
            self._audit.open(db)
        self._ready = True

    def _use_wal(self) -> None:
        """Switch the file to WAL, which SQLite does without waiting for its lock.

        Only the processes that open a new file at the same moment meet; each tries
        again until the first one has switched it.
        """
        for tries_left in reversed(range(_WAL_TRIES)):
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as err:
                if err.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries_left:
                    raise
                time.sleep(_WAL_PAUSE_S)
            else:
                return

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all or nothing; SQLite's errors leave as ours."""
        self._kept = None
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._ready:
                    self._audit.check_open(self._db)
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite may have undone it itself
                    self._db.execute("ROLLBACK")
                self._audit.settle(committed=False)
                raise
            self._audit.settle(committed=True)
        except sqlite3.Error as err:
            msg = f"store {self._path}: {err}"
            raise StoreError(msg) from err

    @override
    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        with self._transaction() as db:
            if cycle <= int(db.execute(_LAST_CYCLE).fetchone()[0]):
                return False
            db.execute(_ADD_CYCLE, (cycle,))
            ends = right_rows.ends(db, self._permits, uids)
            queued = zip(uids, ends, strict=True)
            db.executemany(_QUEUE, [(uid, cycle, end) for uid, end in queued])
            self._audit.append(db, Event.QUEUED, uids=uids, cycle=cycle)
            kept = _scores(db)
            if kept is not None:
                scores = zip(kept[1].scores.tolist(), kept[1].uids, strict=True)
                added = frozenset(uids)
                rows.rank(db, [(s, str(uid)) for s, uid in scores if uid in added])
        return True

    @override
    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        with self._transaction() as db:
            items = [self._item(db, uid) for uid in answers]
            fresh = [item for item in items if item.label is None]
            for item in fresh:
                check_move(item, State.LABELLED)
                label = answers[item.uid]
                self._give(db, item.uid, annotator, Kind.GIVEN, label)
                db.execute(_ANSWER, (label, item.uid))
            told = [item.uid for item in fresh]
            if told:
                self._audit.append(
                    db, Event.LABELLED, uids=told, annotator=annotator, source="oracle"
                )
        return frozenset(item.uid for item in fresh)

    @override
    def move(self, uids: Iterable[Uid], to: State, *, meanwhile: bool = False) -> None:
        wanted = list(uids)
        if not wanted:
            return
        with self._transaction() as db:
            moved = []
            for uid in wanted:
                item = self._item(db, uid)
                if item.state is to or (meanwhile and to not in MOVES[item.state]):
                    continue
                check_plain_move(item, to)
                if to is State.SKIPPED:
                    self._give(db, uid, ORACLE, Kind.SKIP, None)
                rows.end_leases(db, uid)
                db.execute(_MOVE, (to.value, uid))
                moved.append(uid)
            if moved:
                self._audit.append(db, MOVED[to], uids=moved)

    @override
    def trained(self, labels: Mapping[Uid, int]) -> None:
        if labels:
            with self._transaction() as db:
                changed = [
                    uid
                    for uid, label in labels.items()
                    if db.execute(_TRAINED, (uid, label)).rowcount
                ]
                if changed:
                    self._audit.append(db, Event.TRAINED, uids=changed)

    @override
    def items(self) -> list[Item]:
        return list(self._read()[1])

    @override
    def put_scores(
        self, version: str, scored: Scored, waiting: Waiting | None = None
    ) -> None:
        row = (
            version,
            " ".join(scored.uids.tolist()),
            scored.scores.astype("<f4").tobytes(),
            scored.groups.astype("<i4").tobytes(),
        )
        with self._transaction() as db:
            db.execute(_PUT_SCORES, row)
            self._audit.append(db, Event.SCORED, kept=len(scored))
            if waiting is not None:
                rows.rank(db, [(s, uid) for uid, s in waiting.scores.items()])
                rows.put_near(db, waiting.near)

    @override
    def scores(self) -> tuple[str, Scored] | None:
        with self._reading() as db:
            return _scores(db)

    @override
    def put_model(self, kind: str, arrays: Arrays, keep: int) -> None:
        with self._transaction() as db:
            db.execute(_PUT_MODEL, (kind, to_bytes(arrays)))
            db.execute(_DROP_MODELS, (kind, keep))

    @override
    def models(self, kind: str) -> list[Arrays]:
        with self._reading() as db:
            rows = db.execute(_MODELS, (kind,)).fetchall()
        return [from_bytes(row[0]) for row in rows]

    @override
    def last_cycle(self) -> int:
        return self._read()[2]

    @override
    def put_cut(self, cut: Cut) -> None:
        with self._transaction() as db:
            db.execute(_PUT_NOTE, (_CUT, json.dumps(asdict(cut)).encode()))

    @override
    def cut(self) -> Cut | None:
        with self._reading() as db:
            kept = _note(db, _CUT)
        if not kept:
            return None
        fields = json.loads(kept)
        return Cut(**{**fields, "theta": tuple(fields["theta"])})

    @override
    def add_arrivals(
        self, cycle: int, asked: Mapping[Uid, Origin], pace: bytes, before: bytes
    ) -> frozenset[Uid]:
        with self._transaction() as db:
            check_pace(_note(db, _PACE), before)
            ends = right_rows.ends(db, self._permits, list(asked))
            fresh = frozenset(
                uid
                for (uid, origin), end in zip(asked.items(), ends, strict=True)
                if db.execute(_ARRIVE, (uid, cycle, origin.value, end)).rowcount
            )
            if fresh:
                uids = [uid for uid in asked if uid in fresh]
                self._audit.append(
                    db, Event.QUEUED, uids=uids, cycle=cycle, source="arrival"
                )
            db.execute(_PUT_NOTE, (_PACE, pace))
        return fresh

    @override
    def pace(self) -> bytes:
        with self._reading() as db:
            return _note(db, _PACE)

    @override
    def put_asked(self, precedents: Iterable[Precedent]) -> None:
        rows = [schema.from_precedent(precedent) for precedent in precedents]
        with self._transaction() as db:
            db.executemany(_PUT_ASKED, rows)
            db.execute(_DROP_PRECEDENTS, (MAX_PRECEDENTS,))

    @override
    def put_findings(self, findings: Mapping[Uid, Finding]) -> None:
        with self._transaction() as db:
            for uid, found in findings.items():
                db.execute(_PUT_FINDING, (found.cycle, found.truth, found.hit, uid))

    @override
    def precedents(self) -> list[Precedent]:
        with self._reading() as db:
            return [schema.to_precedent(row) for row in db.execute(_PRECEDENTS)]

    @contextmanager
    @override
    def book(self) -> Iterator[Book]:
        try:
            with self._transaction() as db:
                yield rows.SqliteBook(db, self._audit)
        except (ProtocolError, PrivacyError):
            if self._audit is not NO_AUDIT:
                self.record(Event.REFUSED, at=None, place="desk")
            raise

    def use_rights(self, permits: Permits, now: datetime) -> list[Uid]:
        """Apply permits to all that was ever asked, and to what is asked from now on.

        Questions that are not permitted any more expire, whoever has them on the
        screen; answers stay, but pools over ``Permitted`` do not know their samples.

        Parameters
        ----------
        permits
            Of the samples as they are now; ``Anything`` ends all restrictions.
        now
            Aware.

        Returns
        -------
        list
            The uids that expired.
        """
        with self._transaction() as db:
            gone = right_rows.judge(db, permits)
            if _note(db, _RIGHTS) != permits.digest.encode():
                db.execute(_PUT_NOTE, (_RIGHTS, permits.digest.encode()))
                policy = permits.digest or "open"
                self._audit.append(db, Event.RIGHTS_CHANGED, at=now, policy=policy)
            if gone:
                self._audit.append(
                    db, Event.EXPIRED, uids=gone, at=now, reason="rights"
                )
        self._permits = permits
        return gone

    def seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        """Return when this device first saw each sample: see ``SeenStore``."""
        with self._transaction() as db:
            return seen(db, uids, now)

    def record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        *,
        at: datetime | None,
        **facts: Fact,
    ) -> None:
        """Record what changes nothing here: an export, a refusal."""
        with self._transaction() as db:
            self._audit.append(db, event, uids=uids, annotator=None, at=at, **facts)

    @override
    def verdicts(self, limit: int, annotator: Annotator | None) -> list[Verdict]:
        with self._reading() as db:
            return rows.verdicts(db, limit, annotator)

    @override
    def progress(self, since: datetime) -> Progress:
        with self._snapshot() as db:
            return rows.progress(db, since)

    @override
    def near(self, uid: Uid) -> list[Uid]:
        with self._reading() as db:
            return rows.near(db, uid)

    @override
    def close(self) -> None:
        self._db.close()

    def _read(self) -> tuple[int, list[Item], int]:
        """Return (version, items, last cycle), read anew only if they may have changed.

        SQLite's ``data_version`` changes when another connection commits, and our own
        transactions drop what is kept: most rounds read one number, not the queue.
        """
        with self._reading() as db:
            version = int(db.execute("PRAGMA data_version").fetchone()[0])
            if self._kept is None or self._kept[0] != version:
                items = [schema.to_item(row) for row in db.execute(_ITEMS)]
                cycle = int(db.execute(_LAST_CYCLE).fetchone()[0])
                self._kept = (version, items, cycle)
            return self._kept

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Let several reads see the same moment, without keeping writers out."""
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as err:
            msg = f"store {self._path}: {err}"
            raise StoreError(msg) from err

    def _give(
        self,
        db: sqlite3.Connection,
        uid: Uid,
        annotator: Annotator,
        kind: Kind,
        label: int | None,
    ) -> None:
        """Keep what an oracle said, and end what people hold of the sample."""
        said = Verdict(uid=uid, annotator=annotator, kind=kind, label=label, at=None)
        rows.add_verdict(db, said)
        rows.end_leases(db, uid)

    def _item(self, db: sqlite3.Connection, uid: str) -> Item:
        row = db.execute(_ITEM, (uid,)).fetchone()
        if row is None:
            msg = f"sample {uid} is not in the queue"
            raise StoreError(msg)
        return schema.to_item(row)


def _scores(db: sqlite3.Connection) -> tuple[str, Scored] | None:
    row = db.execute(_SCORES).fetchone()
    if row is None:
        return None
    version, uids, scores, groups = row
    return str(version), Scored(
        np.array(uids.split(), dtype=np.str_),
        np.frombuffer(scores, dtype="<f4").astype(np.float32),
        np.frombuffer(groups, dtype="<i4").astype(np.int64),
    )


def _note(db: sqlite3.Connection, name: str) -> bytes:
    row = db.execute(_NOTE, (name,)).fetchone()
    return b"" if row is None else bytes(row[0])
