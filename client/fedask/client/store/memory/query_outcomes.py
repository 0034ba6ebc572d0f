"""Query records, milestones and names of classes in memory. Parts of ``store``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from fedask.client.records.device_store import ClassStore, check_classes
from fedask.client.records.milestone import Milestone, MilestoneStore, with_milestone
from fedask.client.records.query_outcome import (
    QueryOutcome,
    QueryOutcomeStore,
    QueryRecord,
    kept,
)
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Uid


@dataclass(slots=True)
class MemoryQueryOutcomes(QueryOutcomeStore):
    """Query records."""

    _tables: MemoryTables

    @override
    def put_asked(self, query_records: Iterable[QueryRecord]) -> None:
        merged = dict(self._tables.query_records)
        for query_record in query_records:
            before = merged.get(query_record.uid)
            fresh = before is None or before.outcome is None
            if fresh and query_record.uid not in self._tables.forgotten:
                merged[query_record.uid] = replace(query_record, outcome=None)
        self._tables.query_records = {each.uid: each for each in kept(merged.values())}

    @override
    def put_outcomes(self, outcomes: Mapping[Uid, QueryOutcome]) -> None:
        for uid, outcome in outcomes.items():
            before = self._tables.query_records.get(uid)
            if before is not None and before.outcome is None:
                self._tables.query_records[uid] = replace(before, outcome=outcome)

    @override
    def all(self) -> list[QueryRecord]:
        return sorted(self._tables.query_records.values(), key=lambda each: each.uid)


class MemoryMilestones(MilestoneStore):
    """Milestones."""

    def __init__(self) -> None:
        self._kept: list[Milestone] = []

    @override
    def put(self, milestone: Milestone) -> None:
        self._kept = with_milestone(self._kept, milestone)

    @override
    def all(self) -> list[Milestone]:
        return list(self._kept)


class MemoryClasses(ClassStore):
    """The names of the classes."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self._kept: Sequence[str] = ()

    @override
    def keep(self, names: Sequence[str]) -> None:
        if any(self._tables.annotations.values()):
            check_classes(self._kept, names)
        self._kept = tuple(names)
