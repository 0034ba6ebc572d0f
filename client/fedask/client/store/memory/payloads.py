"""Payloads in memory, within a quota: what ``sqlite.payload_table`` says in SQL."""

from collections.abc import Iterator
from dataclasses import replace

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
from fedask.common.ids import Uid

_ORDER = {ItemState.TRAINED: 0, ItemState.SKIPPED: 0, ItemState.EXPIRED: 1, None: 2}
_STAYS = frozenset({ItemState.LEASED, ItemState.LABELLED})


class MemoryPayloads(MemoryScores, PayloadStore):
    """Payloads beside items. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._quota = StoreQuota()
        self._payloads: dict[Uid, tuple[str, bytes]] = {}  # in the order they came
        self._dropped: set[Uid] = set()

    @override
    def put_payload(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        check_payload(uid, suffix, content)
        if uid in self._forgotten:
            raise was_erased(uid)
        if uid in self._payloads:
            return []
        over = sum(len(each) for _, each in self._payloads.values()) + len(content)
        over -= self._quota.max_bytes
        going: list[Uid] = []
        for other in self._may_go():
            if over > 0:
                going.append(other)
                over -= len(self._payloads[other][1])
        if over > 0:
            raise no_room(len(content), self._quota)
        for other in going:
            self._drop(other)
        self._drop_scores(going)
        self._payloads[uid] = (suffix, content)
        self._dropped.discard(uid)
        return going

    @override
    def payload(self, uid: Uid) -> bytes:
        if uid not in self._payloads:
            raise not_there(uid)
        return self._payloads[uid][1]

    @override
    def payloads(self) -> list[Payload]:
        return [
            Payload(uid, suffix, len(content))
            for uid, (suffix, content) in sorted(self._payloads.items())
        ]

    @override
    def dropped(self) -> frozenset[Uid]:
        return frozenset(self._dropped)

    def _may_go(self) -> Iterator[Uid]:
        ranked = []
        for number, uid in enumerate(self._payloads):
            item = self._items.get(uid)
            state = None if item is None else item.state
            held = any(hold.until is not None for hold in self._holds.get(uid, ()))
            if state in _STAYS or held:
                continue
            second: float = 0 if item is None else item.cycle
            if state is ItemState.QUEUED:
                second = self._priority.get(uid, 1.0)
            ranked.append((_ORDER.get(state, 3), second, number, uid))
        return (uid for *_, uid in sorted(ranked))

    def _drop(self, uid: Uid) -> None:
        del self._payloads[uid]
        self._dropped.add(uid)
        item = self._items.get(uid)
        if item is not None and item.state is ItemState.QUEUED:
            again = item.outcome is None
            self._items[uid] = replace(
                item, state=ItemState.EXPIRED, expired=item.expired + again
            )
