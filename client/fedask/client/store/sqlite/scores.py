"""The last scoring and the models it takes, in a device's SQLite file.

Part of the store: see ``store.SqliteStore``.
"""

import sqlite3
from collections.abc import Iterable

import numpy as np
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ScoreStore, Waiting
from fedask.client.store.sqlite.connection import Connection
from fedask.common.arrays import Arrays, from_bytes, to_bytes
from fedask.common.grid import Scored

_SCORES = "SELECT model_version, uids, scores, groups FROM scoring"
_PUT_SCORES = """INSERT OR REPLACE INTO scoring
    (one, model_version, uids, scores, groups) VALUES (1, ?, ?, ?, ?)"""
_RANK = "UPDATE item SET priority = ? WHERE uid = ? AND priority <> ?1"
_DROP_NEAR = "DELETE FROM near"
_ADD_NEAR = "INSERT OR IGNORE INTO near (uid, other) VALUES (?1, ?2), (?2, ?1)"
_LAST_CYCLE = "SELECT COALESCE(MAX(cycle), 0) FROM cycle"
_MODELS = "SELECT arrays FROM model WHERE kind = ? ORDER BY number"
_PUT_MODEL = "INSERT INTO model (kind, arrays) VALUES (?, ?)"
_DROP_MODELS = """DELETE FROM model WHERE kind = ?1 AND number NOT IN
    (SELECT number FROM model WHERE kind = ?1 ORDER BY number DESC LIMIT ?2)"""


class SqliteScores(Connection, ScoreStore):
    """Scores, and with them the order in which people are asked."""

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
                _rank(db, [(score, uid) for uid, score in waiting.scores.items()])
                gone = self._eraser.forgotten(
                    {uid for pair in waiting.near for uid in pair}
                )
                db.execute(_DROP_NEAR)
                near = [pair for pair in waiting.near if gone.isdisjoint(pair)]
                db.executemany(_ADD_NEAR, near)

    @override
    def scores(self) -> tuple[str, Scored] | None:
        with self._reading() as db:
            return self._scores(db)

    @override
    def last_cycle(self) -> int:
        with self._reading() as db:
            return self._last_cycle(db)

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

    def _scores(self, db: sqlite3.Connection) -> tuple[str, Scored] | None:
        row = db.execute(_SCORES).fetchone()
        return None if row is None else (row[0], self._sealer.scores(row[1:]))

    def _last_cycle(self, db: sqlite3.Connection) -> int:
        return int(db.execute(_LAST_CYCLE).fetchone()[0])

    def _rank_queued(self, db: sqlite3.Connection, uids: Iterable[str]) -> None:
        """Order samples that were queued just now by the scores that are kept."""
        kept = self._scores(db)
        if kept is not None:
            scores = zip(kept[1].scores.tolist(), kept[1].uids, strict=True)
            queued = frozenset(uids)
            _rank(db, [(s, str(uid)) for s, uid in scores if uid in queued])


def _rank(db: sqlite3.Connection, scores: Iterable[tuple[float, str]]) -> None:
    """Set the scores that samples are handed out by."""
    db.executemany(_RANK, scores)
