"""The server's cut and the arrivals of a stream in memory. Parts of ``store``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ArrivalStore, CutStore, check_pace
from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.store.memory.rights import MemoryRights
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.cut import Cut
from fedask.common.ids import Uid


class MemoryCuts(CutStore):
    """The last cut."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self._last: Cut | None = None

    @override
    def put(self, cut: Cut) -> None:
        self._last = cut

    @override
    def last(self) -> Cut | None:
        return self._last

    @override
    def last_cycle(self) -> int:
        return self._tables.last_cycle


@dataclass(slots=True)
class MemoryArrivals(ArrivalStore):
    """The pace, and the samples that were decided about."""

    _tables: MemoryTables
    _rights: MemoryRights

    @override
    def add(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        decided: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        tables = self._tables
        check_pace(tables.pace, before)
        gone = tables.forgotten.keys()
        fresh = [uid for uid in asked if uid not in tables.items.keys() | gone]
        self._rights.permit(fresh)
        tables.decided |= frozenset(decided) - gone
        for uid in fresh:
            tables.items[uid] = Item(
                uid=uid, state=ItemState.QUEUED, cycle=cycle, origin=asked[uid]
            )
        tables.pace = pace
        if fresh:
            tables.record(Event.QUEUED, fresh, cycle=cycle, source="arrival")
        return frozenset(fresh)

    @override
    def pace(self) -> bytes:
        return self._tables.pace

    @override
    def decided(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        return self._tables.decided & frozenset(uids)
