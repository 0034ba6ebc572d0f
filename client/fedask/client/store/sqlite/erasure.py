"""Erasure of samples from a device's SQLite file. A part of ``store``.

The key of a sample is deleted first; then its rows, which the trigger that keeps
annotations allows for that reason alone. What stays is a keyed hash, so that the sample
never comes back, and sealed beside it the cycles that it was trained in.
"""

import json
from collections.abc import Iterable

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.erasure import Erased, ErasureStore, Training
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.arrivals import drop_last_batch
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.local_model import drop_trained_on
from fedask.client.store.sqlite.rights import drop_seen
from fedask.client.store.sqlite.scores import drop_scores
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
            "pseudo_label",
            "decided",
            "payload",
        )
    ),
    "DELETE FROM near_duplicate WHERE uid = ?1 OR other = ?1",
)
_ANY = "SELECT EXISTS (SELECT 1 FROM forgotten)"
_USED = "SELECT cycles FROM forgotten WHERE mark = ?"
_BAR = "INSERT INTO forgotten (mark, cycles) VALUES (?, ?)"
_TRAINING = "SELECT cycle, uids FROM training ORDER BY cycle"
_OF_CYCLE = "SELECT uids FROM training WHERE cycle = ?"
_PUT_TRAINING = "INSERT OR REPLACE INTO training (cycle, uids) VALUES (?, ?)"
_KINDS = "SELECT DISTINCT kind FROM model ORDER BY kind"


class SqliteErasure(ErasureStore):
    """The erased samples of one connection, and what each cycle was trained on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._db = connection.db
        self._key_vault = connection.key_vault

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        wanted = list(uids)
        with self._connection.transaction() as db:
            cycles = {uid: self._used(uid) for uid in wanted}
            fresh = frozenset(uid for uid, used in cycles.items() if used is None)
            cycles |= self._erase(fresh)
            if fresh:
                audit = self._connection.audit
                audit.append(db, Event.FORGOTTEN, uids=sorted(fresh))
            found = {uid: used or () for uid, used in cycles.items()}
            models = [k for (k,) in db.execute(_KINDS)] if any(found.values()) else []
            schema.put_note(db, schema.UNCLEAN, b"\x01")
        with self._connection.reading():
            clean = self._connection.clean()
        return Erased(cycles=found, models=tuple(models), clean=clean)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        with self._connection.reading() as db:
            if not db.execute(_ANY).fetchone()[0]:
                return frozenset()
            return frozenset(uid for uid in uids if self._used(uid) is not None)

    def covers(self, training: Training) -> bool:
        """Tell whether a training is recorded already."""
        return training.uids <= self._trained_on(training.cycle)

    def record(self, training: Training) -> None:
        """Add to the samples that a cycle was trained on; in a transaction."""
        before = self._trained_on(training.cycle)
        uids = training.uids - self.forgotten(training.uids)
        if not uids <= before:
            self._put(training.cycle, before | uids)

    def _erase(self, fresh: frozenset[Uid]) -> dict[Uid, tuple[int, ...]]:
        """Erase samples; return the cycles that each was trained in."""
        trained = self._untrain(fresh)
        for drop in (drop_scores, drop_last_batch, drop_seen, drop_trained_on):
            drop(self._connection, fresh)
        key = self._key_vault.key_for("tombstones")
        for uid in sorted(fresh):
            self._key_vault.destroy(uid)
            for statement in _DELETE:
                self._db.execute(statement, (uid,))
            mark = self._key_vault.tombstone(uid)
            content = json.dumps(trained[uid]).encode()
            self._db.execute(_BAR, (mark, seal(key, content, _used_of(mark))))
        return trained

    def _untrain(self, uids: frozenset[Uid]) -> dict[Uid, tuple[int, ...]]:
        """Remove samples from the record of trainings; return their cycles."""
        found: dict[Uid, tuple[int, ...]] = dict.fromkeys(uids, ())
        for cycle, sealed in self._db.execute(_TRAINING).fetchall():
            known = self._uids(cycle, sealed)
            for uid in known & uids:
                found[uid] = (*found[uid], cycle)
            if known & uids:
                self._put(cycle, known - uids)
        return found

    def _used(self, uid: Uid) -> tuple[int, ...] | None:
        """Return the cycles kept of a forgotten sample; None: it is not forgotten."""
        mark = self._key_vault.tombstone(uid)
        row = self._db.execute(_USED, (mark,)).fetchone()
        if row is None:
            return None
        key = self._key_vault.key_for("tombstones")
        return tuple(json.loads(unseal(key, row[0], _used_of(mark))))

    def _trained_on(self, cycle: int) -> frozenset[Uid]:
        row = self._db.execute(_OF_CYCLE, (cycle,)).fetchone()
        return frozenset() if row is None else self._uids(cycle, row[0])

    def _uids(self, cycle: int, sealed: bytes) -> frozenset[Uid]:
        key = self._key_vault.key_for("training")
        text = unseal(key, sealed, Place("training", "uids", str(cycle))).decode()
        return frozenset(Uid(uid) for uid in text.split())

    def _put(self, cycle: int, uids: Iterable[Uid]) -> None:
        key, text = self._key_vault.key_for("training"), " ".join(sorted(uids))
        place = Place("training", "uids", str(cycle))
        self._db.execute(_PUT_TRAINING, (cycle, seal(key, text.encode(), place)))


def _used_of(mark: bytes) -> Place:
    return Place("forgotten", "cycles", mark.hex())
