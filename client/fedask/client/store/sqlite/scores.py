"""Scores, models and pseudo-labels in a device's SQLite file. Parts of ``store``."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ModelStore, ScoreStore, Waiting
from fedask.client.records.erasure import ErasureStore
from fedask.client.records.pseudo_label import PseudoLabel, PseudoLabelStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection
from fedask.common.arrays import Arrays, from_bytes, to_bytes
from fedask.common.grid import Scored
from fedask.common.ids import Uid

_SCORES = "SELECT model_version, uids, scores, groups FROM scoring"
_PUT_SCORES = """INSERT OR REPLACE INTO scoring
    (one, model_version, uids, scores, groups) VALUES (1, ?, ?, ?, ?)"""
_RANK = "UPDATE item SET priority = ? WHERE uid = ? AND priority <> ?1"
_DROP_NEAR = "DELETE FROM near_duplicate"
_ADD_NEAR = (
    "INSERT OR IGNORE INTO near_duplicate (uid, other) VALUES (?1, ?2), (?2, ?1)"
)
_MODELS = "SELECT arrays FROM model WHERE kind = ? ORDER BY number"
_PUT_MODEL = "INSERT INTO model (kind, arrays) VALUES (?, ?)"
_DROP_MODELS = """DELETE FROM model WHERE kind = ?1 AND number NOT IN
    (SELECT number FROM model WHERE kind = ?1 ORDER BY number DESC LIMIT ?2)"""
_DROP_PSEUDO = "DELETE FROM pseudo_label WHERE NOT control"
_PUT_PSEUDO = f"""INSERT INTO pseudo_label ({schema.PSEUDO_LABEL})
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING"""  # noqa: S608  (a constant)
_PSEUDO = f"SELECT {schema.PSEUDO_LABEL} FROM pseudo_label ORDER BY uid"  # noqa: S608  (a constant)


@dataclass(slots=True)
class SqliteScores(ScoreStore):
    """The scores of one connection; they order what people are asked."""

    _connection: Connection
    _erasure: ErasureStore

    @override
    def put(self, version: str, scored: Scored, waiting: Waiting | None = None) -> None:
        cipher, audit = self._connection.cipher, self._connection.audit
        with self._connection.transaction() as db:
            barred = self._erasure.forgotten(map(Uid, scored.uids.tolist()))
            if barred:
                scored = scored.keep(~np.isin(scored.uids, sorted(barred)))
            db.execute(_PUT_SCORES, (version, *cipher.seal_scores(scored)))
            audit.append(db, Event.SCORED, kept=len(scored))
            if waiting is not None:
                db.executemany(_RANK, [(s, uid) for uid, s in waiting.scores.items()])
                gone = self._erasure.forgotten(
                    {u for pair in waiting.near for u in pair}
                )
                db.execute(_DROP_NEAR)
                near = [pair for pair in waiting.near if gone.isdisjoint(pair)]
                db.executemany(_ADD_NEAR, near)

    @override
    def last(self) -> tuple[str, Scored] | None:
        with self._connection.reading() as db:
            row = db.execute(_SCORES).fetchone()
            if row is None:
                return None
            return row[0], self._connection.cipher.scores(row[1:])

    def rank(self, uids: Iterable[Uid]) -> None:
        """Order samples that were just queued by their scores; in a transaction."""
        last = self.last()
        if last is not None:
            scores = zip(last[1].scores.tolist(), last[1].uids.tolist(), strict=True)
            queued = frozenset[str](uids)
            self._connection.db.executemany(
                _RANK, [(score, uid) for score, uid in scores if uid in queued]
            )


@dataclass(slots=True)
class SqliteModels(ModelStore):
    """The models of one connection."""

    _connection: Connection

    @override
    def put(self, kind: str, arrays: Arrays, keep: int) -> None:
        with self._connection.transaction() as db:
            db.execute(_PUT_MODEL, (kind, to_bytes(arrays)))
            db.execute(_DROP_MODELS, (kind, keep))

    @override
    def all(self, kind: str) -> list[Arrays]:
        with self._connection.reading() as db:
            rows = db.execute(_MODELS, (kind,)).fetchall()
        return [from_bytes(row[0]) for row in rows]


@dataclass(slots=True)
class SqlitePseudoLabels(PseudoLabelStore):
    """Pseudo-labels of one connection, sealed like the labels of people."""

    _connection: Connection

    @override
    def put(self, labels: Sequence[PseudoLabel]) -> None:
        with self._connection.transaction() as db:
            db.execute(_DROP_PSEUDO)
            cipher = self._connection.cipher
            db.executemany(
                _PUT_PSEUDO, [cipher.seal_pseudo_label(each) for each in labels]
            )

    @override
    def all(self) -> list[PseudoLabel]:
        with self._connection.reading() as db:
            return [
                self._connection.cipher.pseudo_label(row) for row in db.execute(_PSEUDO)
            ]


def drop_scores(connection: Connection, uids: Collection[Uid]) -> None:
    """Write the last scoring anew, without these samples; in a transaction."""
    row = connection.db.execute(_SCORES).fetchone()
    if row is None or not uids:
        return
    scored = connection.cipher.scores(row[1:])
    stays = ~np.isin(scored.uids, sorted(uids))
    if not stays.all():
        sealed = connection.cipher.seal_scores(scored.keep(stays))
        connection.db.execute(_PUT_SCORES, (row[0], *sealed))
