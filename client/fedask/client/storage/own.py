"""The own model in a device's SQLite file. Part of ``SqliteStore``."""

from typing_extensions import override

from fedask.client.audit.event import Event
from fedask.client.storage import own_rows
from fedask.client.storage.connection import Connection
from fedask.client.storage.eraser import Eraser
from fedask.client.training.own import OwnRecord, OwnStore, fresh_answers
from fedask.common.weights import Arrays, to_bytes


class SqliteOwn(Connection, OwnStore):
    """The own model, and the sealed record of what it was trained on."""

    @override
    def put_own(self, record: OwnRecord, arrays: Arrays | None) -> bool:
        encoded = None if arrays is None else to_bytes(arrays)
        with self._transaction() as db:
            eraser = Eraser(db, self._vault, self._sealer)
            if eraser.forgotten(record.answers):
                return False
            fresh = fresh_answers(record.answers, own_rows.read(db, self._vault))
            own_rows.write(db, self._vault, record, encoded)
            self._audit.append(
                db,
                Event.OWN_TRAINED,
                uids=sorted(fresh),
                at=record.at,
                answers=len(record.answers),
            )
        return True

    @override
    def own(self) -> OwnRecord | None:
        with self._reading() as db:
            return own_rows.read(db, self._vault)
