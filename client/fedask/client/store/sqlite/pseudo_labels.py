"""What a device's model was sure of, in its SQLite file. Part of ``SqliteStore``."""

from collections.abc import Sequence

from typing_extensions import override

from fedask.client.records.pseudo_label import PseudoLabel, PseudoLabelStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection

_DROP = "DELETE FROM sure WHERE NOT control"
_PUT = f"""INSERT INTO sure ({schema.SURE}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING"""  # noqa: S608  (a constant)
_ALL = f"SELECT {schema.SURE} FROM sure ORDER BY uid"  # noqa: S608  (a constant)


class SqlitePseudoLabels(Connection, PseudoLabelStore):
    """Automatic labels, sealed like those of people, and their controls."""

    @override
    def put_sure(self, sure: Sequence[PseudoLabel]) -> None:
        with self._transaction() as db:
            db.execute(_DROP)
            db.executemany(_PUT, [self._sealer.from_sure(each) for each in sure])

    @override
    def sure(self) -> list[PseudoLabel]:
        with self._reading() as db:
            return [self._sealer.sure(row) for row in db.execute(_ALL)]
