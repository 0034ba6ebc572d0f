"""The local model in a device's SQLite file. A part of ``store``.

The arrays stand among the models; the record, which says what people answered, is a
note, sealed. Both come and go together.
"""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import LOCAL_MODEL
from fedask.client.records.erasure import ErasureStore
from fedask.client.records.local_model import (
    LocalModelRecord,
    LocalModelStore,
    fresh_answers,
)
from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.schema import note, put_note
from fedask.common.arrays import Arrays, to_bytes
from fedask.common.ids import ModelVersion, Uid
from fedask.common.seal import Place, seal, unseal

# The kind of the model, the note beside it, and the note's key have one name.
_PLACE = Place("note", "value", LOCAL_MODEL)
_DROP_MODEL = "DELETE FROM model WHERE kind = ?"
_PUT_MODEL = "INSERT INTO model (kind, arrays) VALUES (?, ?)"


@dataclass(slots=True)
class SqliteLocalModel(LocalModelStore):
    """The local model of one connection, and the sealed record of its training."""

    _connection: Connection
    _erasure: ErasureStore

    @override
    def put(self, record: LocalModelRecord, arrays: Arrays | None) -> bool:
        encoded = None if arrays is None else to_bytes(arrays)
        key_vault, audit = self._connection.key_vault, self._connection.audit
        fields: dict[str, object] = {
            "base": record.base,
            "answers": dict(record.answers),
        }
        fields |= {"at": record.at.isoformat(), "usable": record.usable}
        content = json.dumps(fields).encode()
        with self._connection.transaction() as db:
            if self._erasure.forgotten(record.answers):
                return False
            fresh = sorted(fresh_answers(record.answers, _record(db, key_vault)))
            _drop(db)
            put_note(
                db, LOCAL_MODEL, seal(key_vault.key_for(LOCAL_MODEL), content, _PLACE)
            )
            if encoded is not None:
                db.execute(_PUT_MODEL, (LOCAL_MODEL, encoded))
            audit.append(
                db,
                Event.LOCAL_TRAINED,
                uids=fresh,
                at=record.at,
                answers=len(record.answers),
            )
        return True

    @override
    def record(self) -> LocalModelRecord | None:
        with self._connection.reading() as db:
            return _record(db, self._connection.key_vault)


def drop_trained_on(connection: Connection, uids: Collection[Uid]) -> None:
    """Delete record and model if one of these samples was trained on."""
    record = _record(connection.db, connection.key_vault)
    if record is not None and not record.answers.keys().isdisjoint(uids):
        _drop(connection.db)


def _record(db: sqlite3.Connection, key_vault: KeyVault) -> LocalModelRecord | None:
    sealed = note(db, LOCAL_MODEL)
    if not sealed:
        return None
    fields = json.loads(unseal(key_vault.key_for(LOCAL_MODEL), sealed, _PLACE))
    return LocalModelRecord(
        base=ModelVersion(fields["base"]),
        answers={Uid(uid): label for uid, label in fields["answers"].items()},
        at=datetime.fromisoformat(fields["at"]),
        usable=fields["usable"],
    )


def _drop(db: sqlite3.Connection) -> None:
    put_note(db, LOCAL_MODEL, b"")
    db.execute(_DROP_MODEL, (LOCAL_MODEL,))
