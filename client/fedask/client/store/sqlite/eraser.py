"""Erases samples from a device's SQLite file. Called by the store, in a transaction.

The key of a sample goes first; then its rows, which the trigger that keeps annotations
lets go for that reason alone. What stays is a keyed hash, so that the sample never
comes back, and sealed beside it the cycles that it was trained in.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np

from fedask.client.records.arrival_pace import Pace
from fedask.client.records.erasure import Training
from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.keys.row_cipher import RowCipher
from fedask.client.store.sqlite import arrival_times, local_model_rows
from fedask.client.store.sqlite.note import PACE, note, put_note
from fedask.common.ids import Uid
from fedask.common.seal import Place, seal, unseal

_DELETE = (
    *(
        f"DELETE FROM {table} WHERE uid = ?1"  # noqa: S608  (constants)
        for table in (
            "annotation",
            "lease",
            "item",
            "query_record",
            "sure",
            "taken",
            "payload",
        )
    ),
    "DELETE FROM near WHERE uid = ?1 OR other = ?1",
)
_ANY = "SELECT EXISTS (SELECT 1 FROM forgotten)"
_USED = "SELECT used FROM forgotten WHERE mark = ?"
_BAR = "INSERT INTO forgotten (mark, used) VALUES (?, ?)"
_TRAINING = "SELECT cycle, uids FROM training ORDER BY cycle"
_OF_CYCLE = "SELECT uids FROM training WHERE cycle = ?"
_PUT_TRAINING = "INSERT OR REPLACE INTO training (cycle, uids) VALUES (?, ?)"
_SCORES = "SELECT model_version, uids, scores, groups FROM scoring"
_PUT_SCORES = "UPDATE scoring SET uids = ?, scores = ?, groups = ?"
_KINDS = "SELECT DISTINCT kind FROM model ORDER BY kind"


class Eraser:
    """Forgets samples, and remembers that.

    Parameters
    ----------
    db
        The connection.
    vault
        Of the store.
    sealer
        Of the same connection.
    """

    def __init__(
        self, db: sqlite3.Connection, vault: KeyVault, sealer: RowCipher
    ) -> None:
        self._db = db
        self._vault = vault
        self._sealer = sealer

    def forgotten(self, uids: Iterable[str]) -> frozenset[Uid]:
        """Return which of these were forgotten."""
        if not self._db.execute(_ANY).fetchone()[0]:
            return frozenset()
        return frozenset(Uid(uid) for uid in uids if self._used(Uid(uid)) is not None)

    def forget(self, uids: Collection[Uid]) -> dict[Uid, tuple[int, ...]]:
        """Erase samples; return the cycles that each was trained in."""
        cycles = {uid: self._used(uid) for uid in uids}
        fresh = frozenset(uid for uid, used in cycles.items() if used is None)
        trained = self._untrain(fresh)
        self.drop_scores(fresh)
        self._drop_arrivals(fresh)
        arrival_times.forget(self._db, fresh)
        local_model_rows.drop_trained_on(self._db, self._vault, fresh)
        for uid in sorted(fresh):
            self._vault.destroy(self._db, uid)
            for statement in _DELETE:
                self._db.execute(statement, (uid,))
            mark = self._vault.tombstone(uid)
            content = json.dumps(trained[uid]).encode()
            key = self._vault.key_for("tombstones")
            self._db.execute(_BAR, (mark, seal(key, content, _used_of(mark))))
        return {
            uid: trained[uid] if used is None else used for uid, used in cycles.items()
        }

    def models(self) -> tuple[str, ...]:
        """Return the kinds of models that the store keeps."""
        return tuple(kind for (kind,) in self._db.execute(_KINDS))

    def covers(self, training: Training) -> bool:
        """Tell whether a training is recorded already."""
        row = self._db.execute(_OF_CYCLE, (training.cycle,)).fetchone()
        return row is not None and training.uids <= self._uids(training.cycle, row[0])

    def record(self, training: Training) -> None:
        """Keep which samples a cycle was trained on, beside those known of it."""
        row = self._db.execute(_OF_CYCLE, (training.cycle,)).fetchone()
        before = self._uids(training.cycle, row[0]) if row else frozenset()
        uids = training.uids - self.forgotten(training.uids)
        if not uids <= before:
            self._put(training.cycle, before | uids)

    def drop_scores(self, uids: Collection[Uid]) -> None:
        """Write the last scoring anew, without these samples."""
        row = self._db.execute(_SCORES).fetchone()
        if row is None or not uids:
            return
        scored = self._sealer.scores(row[1:])
        stays = ~np.isin(scored.uids, sorted(uids))
        if not stays.all():
            self._db.execute(_PUT_SCORES, self._sealer.seal_scores(scored.keep(stays)))

    def _untrain(self, uids: frozenset[Uid]) -> dict[Uid, tuple[int, ...]]:
        """Take samples out of the record; return what it said of them."""
        found: dict[Uid, tuple[int, ...]] = dict.fromkeys(uids, ())
        for cycle, sealed in self._db.execute(_TRAINING).fetchall():
            known = self._uids(cycle, sealed)
            for uid in known & uids:
                found[uid] = (*found[uid], cycle)
            if known & uids:
                self._put(cycle, known - uids)
        return found

    def _drop_arrivals(self, uids: frozenset[Uid]) -> None:
        """Take samples out of the last batch of a stream."""
        pace = Pace.from_bytes(note(self._db, PACE))
        if uids & set(pace.last):
            last = tuple(uid for uid in pace.last if uid not in uids)
            put_note(self._db, PACE, replace(pace, last=last).to_bytes())

    def _used(self, uid: Uid) -> tuple[int, ...] | None:
        """Return the cycles kept of a forgotten sample; None: it is not forgotten."""
        mark = self._vault.tombstone(uid)
        row = self._db.execute(_USED, (mark,)).fetchone()
        if row is None:
            return None
        key = self._vault.key_for("tombstones")
        return tuple(json.loads(unseal(key, row[0], _used_of(mark))))

    def _uids(self, cycle: int, sealed: bytes) -> frozenset[Uid]:
        key = self._vault.key_for("training")
        text = unseal(key, sealed, Place("training", "uids", str(cycle))).decode()
        return frozenset(Uid(uid) for uid in text.split())

    def _put(self, cycle: int, uids: Iterable[Uid]) -> None:
        key, text = self._vault.key_for("training"), " ".join(sorted(uids))
        place = Place("training", "uids", str(cycle))
        self._db.execute(_PUT_TRAINING, (cycle, seal(key, text.encode(), place)))


def _used_of(mark: bytes) -> Place:
    return Place("forgotten", "used", mark.hex())
