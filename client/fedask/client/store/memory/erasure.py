"""Erasure of samples in memory. A part of ``store``."""

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override

from fedask.client.records.arrival_pace import Pace
from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import LOCAL_MODEL
from fedask.client.records.erasure import Erased, ErasureStore
from fedask.client.store.memory.scores import MemoryScores
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Uid


@dataclass(slots=True)
class MemoryErasure(ErasureStore):
    """The erased samples."""

    _tables: MemoryTables
    _scores: MemoryScores

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        tables, wanted = self._tables, list(uids)
        gone = frozenset(wanted) - tables.forgotten.keys()
        for uid in gone:
            cycles = [c for c, used in sorted(tables.trained_in.items()) if uid in used]
            tables.forgotten[uid] = tuple(cycles)
        self._drop(gone)
        if gone:
            tables.record(Event.FORGOTTEN, sorted(gone))
        found = {uid: tables.forgotten[uid] for uid in wanted}
        models = tuple(sorted(tables.models)) if any(found.values()) else ()
        return Erased(cycles=found, models=models, clean=True)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        return frozenset(uid for uid in uids if uid in self._tables.forgotten)

    def _drop(self, gone: frozenset[Uid]) -> None:
        """Delete every row of these samples."""
        tables = self._tables
        for rows in (
            tables.items,
            tables.annotations,
            tables.priority,
            tables.leases,
            tables.right_until,
            tables.first_seen,
            tables.query_records,
            tables.pseudo_labels,
            tables.payloads,
        ):
            for uid in gone & rows.keys():
                del rows[uid]
        tables.decided -= gone
        tables.dropped -= gone
        tables.near = frozenset(p for p in tables.near if gone.isdisjoint(p))
        tables.trained_in = {c: used - gone for c, used in tables.trained_in.items()}
        self._scores.drop(gone)
        record = tables.local_model
        if record is not None and not gone.isdisjoint(record.answers):
            tables.local_model = None
            tables.models.pop(LOCAL_MODEL, None)
        pace = Pace.from_bytes(tables.pace)
        if not gone.isdisjoint(pace.last):
            tables.pace = pace.without(gone).to_bytes()
