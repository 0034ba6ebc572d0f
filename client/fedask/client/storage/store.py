"""The device's SQLite file: queue, labels, scores. Never touched by the server.

Called by the device, the labelling service and the trainer; opened by ``connection``.
What people said is sealed by ``sealer``. Rows are never deleted on read.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.asking.precedents import MAX_PRECEDENTS, Finding, Precedent
from fedask.client.audit.chain import MOVED, NO_AUDIT, Audit, Event, Fact
from fedask.client.labelling.queue import (
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
from fedask.client.labelling.sheet import Book, VerdictStore
from fedask.client.labelling.verdict import Kind, Progress, Verdict
from fedask.client.rights.permitted import Permits
from fedask.client.storage import book as rows
from fedask.client.storage import right_rows, rotation, schema
from fedask.client.storage.eraser import Eraser
from fedask.client.storage.erasure import Erased, Training
from fedask.client.storage.keyring import Keyring
from fedask.client.storage.own import SqliteOwn
from fedask.client.storage.payload import Payload, PayloadStore, StoreQuota
from fedask.client.storage.sealer import from_precedent
from fedask.client.storage.seen import seen
from fedask.client.storage.shelf import Shelf
from fedask.client.training.sure import Sure
from fedask.common.errors import PrivacyError, ProtocolError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid
from fedask.common.records import Cut
from fedask.common.seal import Key
from fedask.common.weights import Arrays, from_bytes, to_bytes

_ITEMS = f"SELECT {schema.COLUMNS} FROM item ORDER BY uid"  # noqa: S608  (a constant)
_ITEM = f"SELECT {schema.COLUMNS} FROM item WHERE uid = ?"  # noqa: S608
_QUEUE = """INSERT INTO item (uid, state, cycle, right_until)
    VALUES (?, 'queued', ?, ?) ON CONFLICT (uid) DO UPDATE
    SET state = 'queued', cycle = excluded.cycle, asked = asked + 1, origin = 'cut',
        right_until = excluded.right_until
    WHERE state = 'expired'"""
_ARRIVE = """INSERT INTO item (uid, state, cycle, origin, right_until)
    VALUES (?, 'queued', ?, ?, ?) ON CONFLICT (uid) DO NOTHING"""
_TAKE = "INSERT OR IGNORE INTO taken (uid) VALUES (?)"
_TAKEN = "SELECT uid FROM taken WHERE uid IN (SELECT value FROM json_each(?))"
_PUT_NOTE = "INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)"
_NOTE = "SELECT value FROM note WHERE name = ?"
_LAST_CYCLE = "SELECT COALESCE(MAX(cycle), 0) FROM cycle"
_ADD_CYCLE = "INSERT INTO cycle (cycle) VALUES (?)"
_ANSWER = """UPDATE item SET state = 'labelled', label = ?, leased_until = NULL,
    known = 1, votes = 1, outcome = coalesce(outcome, 'labelled') WHERE uid = ?"""
_MOVE = """UPDATE item SET state = ?1, leased_until = NULL,
    expired = expired + (?1 = 'expired' AND outcome IS NULL),
    outcome = coalesce(outcome, iif(?1 = 'skipped', ?1, NULL)) WHERE uid = ?2"""
_LABELLED = "SELECT label FROM item WHERE uid = ? AND state = 'labelled'"
_TRAINED = "UPDATE item SET state = 'trained' WHERE uid = ?"
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
_UNFOUND = "SELECT 1 FROM precedent WHERE uid = ? AND found IS NULL"
_PUT_FINDING = "UPDATE precedent SET found = ?, finding = ? WHERE uid = ?"
_PRECEDENTS = f"SELECT {schema.PRECEDENT} FROM precedent ORDER BY uid"  # noqa: S608
_DROP_SURE = "DELETE FROM sure WHERE NOT control"
_PUT_SURE = f"""INSERT INTO sure ({schema.SURE}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING"""  # noqa: S608
_SURE = f"SELECT {schema.SURE} FROM sure ORDER BY uid"  # noqa: S608
_CUT, _PACE, _RIGHTS = "cut", "pace", right_rows.NOTE  # names of notes
_SCORES = "SELECT model_version, uids, scores, groups FROM scoring"


class SqliteStore(SqliteOwn, DeviceStore, VerdictStore, PayloadStore):
    """The durable store.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist.
    keyring
        Where the device's key is; by default a key file beside the store.
    quota
        Room for payloads.
    audit
        Records every change. Without one, a file that has a log can only be read.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no fedask store, is of a newer version, sealed
        with another key, or its log is not what its head says; and from every method,
        if the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        keyring: Keyring | None = None,
        quota: StoreQuota | None = None,
        audit: Audit = NO_AUDIT,
    ) -> None:
        self._kept: tuple[int, list[Item], int] | None = None
        self._permits: Permits | None = None
        super().__init__(path, keyring, audit)
        self._eraser = Eraser(self._db, self._vault, self._sealer)
        room = quota or StoreQuota()
        self._shelf = Shelf(self._db, self._vault, self._eraser, room)

    @contextmanager
    @override
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._kept = None
        with super()._transaction() as db:
            yield db

    @override
    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        with self._transaction() as db:
            if cycle <= int(db.execute(_LAST_CYCLE).fetchone()[0]):
                return False
            db.execute(_ADD_CYCLE, (cycle,))
            barred = self._eraser.forgotten(uids)
            fresh = [uid for uid in uids if uid not in barred]
            ends = right_rows.ends(db, self._permits, fresh)
            queued = zip(fresh, ends, strict=True)
            db.executemany(_QUEUE, [(uid, cycle, end) for uid, end in queued])
            self._audit.append(db, Event.QUEUED, uids=fresh, cycle=cycle)
            kept = self._scores(db)
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
                sealed = self._sealer.seal_label(item.uid, label)
                db.execute(_ANSWER, (sealed, item.uid))
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
    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        with self._reading():
            if training is not None and self._eraser.covers(training):
                training = None
        if not labels and training is None:
            return
        with self._transaction() as db:
            changed = []
            for uid, label in labels.items():
                row = db.execute(_LABELLED, (uid,)).fetchone()
                if row and self._sealer.label(uid, row[0]) == label:
                    db.execute(_TRAINED, (uid,))
                    changed.append(uid)
            if changed:
                self._audit.append(db, Event.TRAINED, uids=changed)
            if training is not None:
                self._eraser.record(training)

    @override
    def items(self) -> list[Item]:
        return list(self._read()[1])

    @override
    def put_scores(
        self, version: str, scored: Scored, waiting: Waiting | None = None
    ) -> None:
        with self._transaction() as db:
            barred = self._eraser.forgotten(scored.uids.tolist())
            if barred:
                scored = scored.keep(~np.isin(scored.uids, sorted(barred)))
            db.execute(_PUT_SCORES, (version, *self._sealer.seal_scores(scored)))
            self._audit.append(db, Event.SCORED, kept=len(scored))
            if waiting is not None:
                rows.rank(db, [(s, uid) for uid, s in waiting.scores.items()])
                gone = self._eraser.forgotten(
                    {u for pair in waiting.near for u in pair}
                )
                near = [pair for pair in waiting.near if gone.isdisjoint(pair)]
                rows.put_near(db, near)

    @override
    def scores(self) -> tuple[str, Scored] | None:
        with self._reading() as db:
            return self._scores(db)

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
        self,
        cycle: int,
        asked: Mapping[Uid, Origin],
        pace: bytes,
        before: bytes,
        taken: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        with self._transaction() as db:
            check_pace(_note(db, _PACE), before)
            barred = self._eraser.forgotten({*asked, *taken})
            db.executemany(_TAKE, [(uid,) for uid in taken if uid not in barred])
            wanted = [uid for uid in asked if uid not in barred]
            ends = right_rows.ends(db, self._permits, wanted)
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
            db.execute(_PUT_NOTE, (_PACE, pace))
        return fresh

    @override
    def pace(self) -> bytes:
        with self._reading() as db:
            return _note(db, _PACE)

    @override
    def taken(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        with self._reading() as db:
            rows = db.execute(_TAKEN, (json.dumps(list(uids)),))
            return frozenset(Uid(uid) for (uid,) in rows)

    @override
    def put_asked(self, precedents: Iterable[Precedent]) -> None:
        asked = list(precedents)
        with self._transaction() as db:
            barred = self._eraser.forgotten(each.uid for each in asked)
            fresh = [from_precedent(each) for each in asked if each.uid not in barred]
            db.executemany(_PUT_ASKED, fresh)
            db.execute(_DROP_PRECEDENTS, (MAX_PRECEDENTS,))

    @override
    def put_findings(self, findings: Mapping[Uid, Finding]) -> None:
        with self._transaction() as db:
            for uid, found in findings.items():
                if db.execute(_UNFOUND, (uid,)).fetchone():
                    sealed = self._sealer.seal_finding(uid, found.truth, hit=found.hit)
                    db.execute(_PUT_FINDING, (found.cycle, sealed, uid))

    @override
    def precedents(self) -> list[Precedent]:
        with self._reading() as db:
            return [self._sealer.precedent(row) for row in db.execute(_PRECEDENTS)]

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        wanted = list(uids)
        with self._transaction() as db:
            known = self._eraser.forgotten(wanted)
            fresh = sorted(frozenset(wanted) - known)
            cycles = self._eraser.forget(wanted)
            if fresh:
                self._audit.append(db, Event.FORGOTTEN, uids=fresh)
            models = self._eraser.models() if any(cycles.values()) else ()
            schema.set_unclean(db, unclean=True)
        with self._reading():
            clean = self._clean()
        return Erased(cycles=cycles, models=models, clean=clean)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        with self._reading():
            return self._eraser.forgotten(uids)

    @override
    def put_payload(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        with self._transaction():
            return self._shelf.put(uid, suffix, content)

    @override
    def payload(self, uid: Uid) -> bytes:
        with self._snapshot():
            return self._shelf.content(uid)

    @override
    def payloads(self) -> list[Payload]:
        with self._reading():
            return self._shelf.payloads()

    @override
    def dropped(self) -> frozenset[Uid]:
        with self._reading():
            return self._shelf.dropped()

    @property
    def index_key(self) -> Key:
        """What seals the index of the data beside this store; it never changes."""
        return self._vault.key_for("index")

    def rotate(self) -> None:
        """Change the device's key; see ``rotation``."""
        rotation.rotate(
            self._vault,
            self._transaction,
            lambda db: self._audit.append(db, Event.KEY_ROTATED, which="device"),
        )
        with self._reading():
            self._clean()

    @override
    def put_sure(self, sure: Sequence[Sure]) -> None:
        with self._transaction() as db:
            db.execute(_DROP_SURE)
            db.executemany(_PUT_SURE, [self._sealer.from_sure(s) for s in sure])

    @override
    def sure(self) -> list[Sure]:
        with self._reading() as db:
            return [self._sealer.sure(row) for row in db.execute(_SURE)]

    @contextmanager
    @override
    def book(self) -> Iterator[Book]:
        try:
            with self._transaction() as db:
                yield rows.SqliteBook(db, self._sealer, self._audit)
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
        """Return when this device first saw each sample: see ``SeenStore``.

        Of a sample that was erased nothing is kept: it comes now, each time.
        """
        found = np.full(len(uids), int(now.timestamp()), dtype=np.int64)
        with self._transaction() as db:
            gone = self._eraser.forgotten(uids.tolist())
            stays = ~np.isin(uids, sorted(gone))
            found[stays] = seen(db, uids[stays], now)
        return found

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
            return rows.verdicts(db, self._sealer, limit, annotator)

    @override
    def progress(self, since: datetime) -> Progress:
        with self._snapshot() as db:
            return rows.progress(db, self._sealer, since)

    @override
    def near(self, uid: Uid) -> list[Uid]:
        with self._reading() as db:
            return rows.near(db, uid)

    @override
    def waiting(self) -> list[tuple[Uid, float]]:
        with self._reading() as db:
            return rows.waiting(db)

    def problem(self) -> str:
        """Return what is wrong with the file, or "" if it is sound. Reads all of it."""
        with self._reading() as db:
            (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
        return "" if told == "ok" else str(told)

    def _read(self) -> tuple[int, list[Item], int]:
        """Return (version, items, last cycle), read anew only if they may have changed.

        SQLite's ``data_version`` changes when another connection commits, and our own
        transactions drop what is kept: most rounds read one number, not the queue.
        """
        with self._reading() as db:
            version = int(db.execute("PRAGMA data_version").fetchone()[0])
            if self._kept is None or self._kept[0] != version:
                items = [self._sealer.item(row) for row in db.execute(_ITEMS)]
                cycle = int(db.execute(_LAST_CYCLE).fetchone()[0])
                self._kept = (version, items, cycle)
            return self._kept

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
        rows.add_verdict(db, self._sealer, said)
        rows.end_leases(db, uid)

    def _scores(self, db: sqlite3.Connection) -> tuple[str, Scored] | None:
        row = db.execute(_SCORES).fetchone()
        return None if row is None else (row[0], self._sealer.scores(row[1:]))

    def _item(self, db: sqlite3.Connection, uid: str) -> Item:
        row = db.execute(_ITEM, (uid,)).fetchone()
        if row is None:
            msg = f"sample {uid} is not in the queue"
            raise StoreError(msg)
        return self._sealer.item(row)


def _note(db: sqlite3.Connection, name: str) -> bytes:
    row = db.execute(_NOTE, (name,)).fetchone()
    return b"" if row is None else bytes(row[0])
