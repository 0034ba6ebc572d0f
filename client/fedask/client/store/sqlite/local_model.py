"""The own model in a device's SQLite file. Part of ``SqliteStore``."""

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.local_model import (
    LocalModelRecord,
    LocalModelStore,
    fresh_answers,
)
from fedask.client.store.sqlite import local_model_rows
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.eraser import Eraser
from fedask.common.arrays import Arrays, to_bytes


class SqliteLocalModel(Connection, LocalModelStore):
    """The own model, and the sealed record of what it was trained on."""

    @override
    def put_own(self, record: LocalModelRecord, arrays: Arrays | None) -> bool:
        encoded = None if arrays is None else to_bytes(arrays)
        with self._transaction() as db:
            eraser = Eraser(db, self._vault, self._sealer)
            if eraser.forgotten(record.answers):
                return False
            fresh = fresh_answers(
                record.answers, local_model_rows.read(db, self._vault)
            )
            local_model_rows.write(db, self._vault, record, encoded)
            self._audit.append(
                db,
                Event.OWN_TRAINED,
                uids=sorted(fresh),
                at=record.at,
                answers=len(record.answers),
            )
        return True

    @override
    def own(self) -> LocalModelRecord | None:
        with self._reading() as db:
            return local_model_rows.read(db, self._vault)
