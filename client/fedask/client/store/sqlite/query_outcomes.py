"""Query records in a device's SQLite file. Part of the store: see ``SqliteStore``."""

from collections.abc import Iterable, Mapping

from typing_extensions import override

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
    WHERE found IS NULL"""
_DROP = """DELETE FROM query_record WHERE uid IN
    (SELECT uid FROM query_record ORDER BY cycle DESC, uid LIMIT -1 OFFSET ?)"""
_UNFOUND = "SELECT 1 FROM query_record WHERE uid = ? AND found IS NULL"
_PUT_FINDING = "UPDATE query_record SET found = ?, finding = ? WHERE uid = ?"
_QUERY_RECORDS = f"SELECT {schema.QUERY_RECORD} FROM query_record ORDER BY uid"  # noqa: S608  (a constant)


class SqliteQueryOutcomes(Connection, QueryOutcomeStore):
    """Questions as the experts saw them; what their answers showed is sealed."""

    @override
    def put_asked(self, query_records: Iterable[QueryRecord]) -> None:
        asked = list(query_records)
        with self._transaction() as db:
            barred = self._eraser.forgotten(each.uid for each in asked)
            fresh = [
                from_query_record(each) for each in asked if each.uid not in barred
            ]
            db.executemany(_PUT_ASKED, fresh)
            db.execute(_DROP, (MAX_QUERY_RECORDS,))

    @override
    def put_findings(self, findings: Mapping[Uid, QueryOutcome]) -> None:
        with self._transaction() as db:
            for uid, found in findings.items():
                if db.execute(_UNFOUND, (uid,)).fetchone():
                    sealed = self._sealer.seal_finding(uid, found.truth, hit=found.hit)
                    db.execute(_PUT_FINDING, (found.cycle, sealed, uid))

    @override
    def query_records(self) -> list[QueryRecord]:
        with self._reading() as db:
            return [
                self._sealer.query_record(row) for row in db.execute(_QUERY_RECORDS)
            ]
