"""Precedents in memory: what ``sqlite.query_outcomes`` says in SQL."""

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
        self._precedents: dict[Uid, QueryRecord] = {}

    @override
    def put_asked(self, precedents: Iterable[QueryRecord]) -> None:
        merged = dict(self._precedents)
        for precedent in precedents:
            before = merged.get(precedent.uid)
            fresh = before is None or before.finding is None
            if fresh and precedent.uid not in self._forgotten:
                merged[precedent.uid] = replace(precedent, finding=None)
        self._precedents = {each.uid: each for each in kept(merged.values())}

    @override
    def put_findings(self, findings: Mapping[Uid, QueryOutcome]) -> None:
        for uid, finding in findings.items():
            before = self._precedents.get(uid)
            if before is not None and before.finding is None:
                self._precedents[uid] = replace(before, finding=finding)

    @override
    def precedents(self) -> list[QueryRecord]:
        return [self._precedents[uid] for uid in sorted(self._precedents)]
