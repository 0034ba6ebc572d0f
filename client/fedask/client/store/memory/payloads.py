"""Payloads in memory, within a quota. A part of ``store``."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from typing_extensions import override

from fedask.client.records.label_queue import ItemState
from fedask.client.records.payload import (
    Payload,
    PayloadStore,
    StoreQuota,
    check_payload,
    no_room,
    not_there,
    was_erased,
)
from fedask.client.store.memory.scores import MemoryScores
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.ids import Uid

_ORDER = {ItemState.TRAINED: 0, ItemState.SKIPPED: 0, ItemState.EXPIRED: 1, None: 2}
_STAYS = frozenset({ItemState.LEASED, ItemState.LABELLED})


@dataclass(slots=True)
class MemoryPayloads(PayloadStore):
    """Payloads."""

    _tables: MemoryTables
    _scores: MemoryScores
    _quota: StoreQuota

    @override
    def put(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        check_payload(uid, suffix, content)
        payloads = self._tables.payloads
        if uid in self._tables.forgotten:
            raise was_erased(uid)
        if uid in payloads:
            return []
        over = sum(len(each) for _, each in payloads.values()) + len(content)
        over -= self._quota.max_bytes
        going: list[Uid] = []
        for other in self._may_go():
            if over > 0:
                going.append(other)
                over -= len(payloads[other][1])
        if over > 0:
            raise no_room(len(content), self._quota)
        for other in going:
            self._drop(other)
        self._scores.drop(going)
        payloads[uid] = (suffix, content)
        self._tables.dropped -= {uid}
        return going

    @override
    def content(self, uid: Uid) -> bytes:
        if uid not in self._tables.payloads:
            raise not_there(uid)
        return self._tables.payloads[uid][1]

    @override
    def all(self) -> list[Payload]:
        return [
            Payload(uid, suffix, len(content))
            for uid, (suffix, content) in sorted(self._tables.payloads.items())
        ]

    @override
    def dropped(self) -> frozenset[Uid]:
        return self._tables.dropped

    def _may_go(self) -> Iterator[Uid]:
        ranked = []
        for number, uid in enumerate(self._tables.payloads):
            item = self._tables.items.get(uid)
            state = None if item is None else item.state
            leases = self._tables.leases.get(uid, ())
            if state in _STAYS or any(lease.until is not None for lease in leases):
                continue
            second: float = 0 if item is None else item.cycle
            if state is ItemState.QUEUED:
                second = self._tables.priority.get(uid, 1.0)
            ranked.append((_ORDER.get(state, 3), second, number, uid))
        return (uid for *_, uid in sorted(ranked))

    def _drop(self, uid: Uid) -> None:
        del self._tables.payloads[uid]
        self._tables.dropped |= {uid}
        item = self._tables.items.get(uid)
        if item is not None and item.state is ItemState.QUEUED:
            again = item.outcome is None
            self._tables.items[uid] = replace(
                item, state=ItemState.EXPIRED, expired=item.expired + again
            )
