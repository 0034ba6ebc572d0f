"""Pseudo-labels in a device's SQLite file. A part of ``store``."""

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from fedask.client.records.pseudo_label import PseudoLabel, PseudoLabelStore
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection

_DROP = "DELETE FROM pseudo_label WHERE NOT control"
_PUT = f"""INSERT INTO pseudo_label ({schema.PSEUDO_LABEL}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (uid) DO NOTHING"""  # noqa: S608  (a constant)
_ALL = f"SELECT {schema.PSEUDO_LABEL} FROM pseudo_label ORDER BY uid"  # noqa: S608  (a constant)


@dataclass(slots=True)
class SqlitePseudoLabels(PseudoLabelStore):
    """Pseudo-labels of one connection, sealed like the labels of people."""

    _connection: Connection

    @override
    def put(self, labels: Sequence[PseudoLabel]) -> None:
        with self._connection.transaction() as db:
            db.execute(_DROP)
            cipher = self._connection.cipher
            db.executemany(_PUT, [cipher.seal_pseudo_label(each) for each in labels])

    @override
    def all(self) -> list[PseudoLabel]:
        with self._connection.reading() as db:
            return [
                self._connection.cipher.pseudo_label(row) for row in db.execute(_ALL)
            ]
