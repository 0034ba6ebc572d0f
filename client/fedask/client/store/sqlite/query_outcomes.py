"""Query records in a device's SQLite file. A part of ``store``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import override

from fedask.client.records.erasure import ErasureStore
from fedask.client.records.query_outcome import (
    MAX_QUERY_RECORDS,
    QueryOutcome,
    QueryOutcomeStore,
    QueryRecord,
)
from fedask.client.store.keys.row_cipher import from_query_record
from fedask.client.store.sqlite import schema
from fedask.client.store.sqlite.connection import Connection
from fedask.common.ids import Uid

_PUT_ASKED = """INSERT INTO query_record (uid, cycle, experts, descriptors, levels)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE
    SET cycle = excluded.cycle, experts = excluded.experts,
        descriptors = excluded.descriptors, levels = excluded.levels
    WHERE outcome_cycle IS NULL"""
_DROP = """DELETE FROM query_record WHERE uid IN
    (SELECT uid FROM query_record ORDER BY cycle DESC, uid LIMIT -1 OFFSET ?)"""
_UNFOUND = "SELECT 1 FROM query_record WHERE uid = ? AND outcome_cycle IS NULL"
_PUT_OUTCOME = "UPDATE query_record SET outcome_cycle = ?, outcome = ? WHERE uid = ?"
_ALL = f"SELECT {schema.QUERY_RECORD} FROM query_record ORDER BY uid"  # noqa: S608  (a constant)


@dataclass(slots=True)
class SqliteQueryOutcomes(QueryOutcomeStore):
    """Query records of one connection; what their answers showed is sealed."""

    _connection: Connection
    _erasure: ErasureStore

    @override
    def put_asked(self, query_records: Iterable[QueryRecord]) -> None:
        asked = list(query_records)
        with self._connection.transaction() as db:
            barred = self._erasure.forgotten(each.uid for each in asked)
            fresh = [
                from_query_record(each) for each in asked if each.uid not in barred
            ]
            db.executemany(_PUT_ASKED, fresh)
            db.execute(_DROP, (MAX_QUERY_RECORDS,))

    @override
    def put_outcomes(self, outcomes: Mapping[Uid, QueryOutcome]) -> None:
        with self._connection.transaction() as db:
            for uid, found in outcomes.items():
                if db.execute(_UNFOUND, (uid,)).fetchone():
                    cipher = self._connection.cipher
                    sealed = cipher.seal_outcome(uid, found.truth, hit=found.hit)
                    db.execute(_PUT_OUTCOME, (found.cycle, sealed, uid))

    @override
    def all(self) -> list[QueryRecord]:
        with self._connection.reading() as db:
            return list(map(self._connection.cipher.query_record, db.execute(_ALL)))
