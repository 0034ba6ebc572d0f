"""Query records in memory: what ``sqlite.query_outcomes`` says in SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from typing_extensions import override

from fedask.client.records.query_outcome import (
    QueryOutcome,
    QueryOutcomeStore,
    QueryRecord,
    kept,
)
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.common.ids import Uid


class MemoryQueryOutcomes(MemoryAnnotations, QueryOutcomeStore):
    """Questions as the experts saw them. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._query_records: dict[Uid, QueryRecord] = {}

    @override
    def put_asked(self, query_records: Iterable[QueryRecord]) -> None:
        merged = dict(self._query_records)
        for query_record in query_records:
            before = merged.get(query_record.uid)
            fresh = before is None or before.finding is None
            if fresh and query_record.uid not in self._forgotten:
                merged[query_record.uid] = replace(query_record, finding=None)
        self._query_records = {each.uid: each for each in kept(merged.values())}

    @override
    def put_findings(self, findings: Mapping[Uid, QueryOutcome]) -> None:
        for uid, finding in findings.items():
            before = self._query_records.get(uid)
            if before is not None and before.finding is None:
                self._query_records[uid] = replace(before, finding=finding)

    @override
    def query_records(self) -> list[QueryRecord]:
        return [self._query_records[uid] for uid in sorted(self._query_records)]
