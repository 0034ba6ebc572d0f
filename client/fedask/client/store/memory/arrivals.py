"""What a stream needs, in memory: what ``sqlite.arrivals`` says in SQL."""

from collections.abc import Collection, Mapping, Sequence

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ArrivalStore, check_pace
from fedask.client.records.label_queue import Item, ItemState, QueryOrigin
from fedask.client.store.memory.rights import MemoryRights
from fedask.common.cut import Cut
from fedask.common.ids import Uid


class MemoryArrivals(MemoryRights, ArrivalStore):
    """The last cut and the pace. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._cut: Cut | None = None
        self._pace = b""
        self._taken: frozenset[Uid] = frozenset()

    @override
    def put_cut(self, cut: Cut) -> None:
        self._cut = cut

    @override
    def cut(self) -> Cut | None:
        return self._cut

    @override
    def add_arrivals(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        taken: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        check_pace(self._pace, before)
        self._taken |= frozenset(taken) - self._forgotten.keys()
        fresh = frozenset(asked) - self._items.keys() - self._forgotten.keys()
        self._permit([uid for uid in asked if uid in fresh])
        for uid in fresh:
            self._items[uid] = Item(
                uid=uid, state=ItemState.QUEUED, cycle=cycle, origin=asked[uid]
            )
        self._pace = pace
        if fresh:
            uids = [uid for uid in asked if uid in fresh]
            self._record(Event.QUEUED, uids, cycle=cycle, source="arrival")
        return fresh

    @override
    def pace(self) -> bytes:
        return self._pace

    @override
    def taken(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        return self._taken & frozenset(uids)
