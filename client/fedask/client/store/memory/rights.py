"""The ends of samples' rights in memory. A part of ``store``."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import WAITING, ItemState
from fedask.client.records.rights import Permits, RightsStore
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.errors import PrivacyError
from fedask.common.ids import Uid

_NEVER = datetime.min.replace(tzinfo=UTC)  # the end of a right that there is not
_FOREVER = datetime.max.replace(tzinfo=UTC)


class MemoryRights(RightsStore):
    """Until when samples may be asked."""

    def __init__(self, tables: MemoryTables, annotations: MemoryAnnotations) -> None:
        self._tables = tables
        self._annotations = annotations
        self._permits: Permits | None = None
        self._policy = ""

    @override
    def apply(self, permits: Permits, now: datetime) -> list[Uid]:
        tables, uids = self._tables, sorted(self._tables.items)
        ends = permits.until(uids) if permits.digest else [_FOREVER] * len(uids)
        judged = zip(uids, ends, strict=True)
        tables.right_until = {uid: _NEVER if e is None else e for uid, e in judged}
        gone = []
        for uid, end in tables.right_until.items():
            if end == _NEVER:
                sample = self._annotations.read(uid)
                self._annotations.write(sample.withdrawn())
                gone += [uid] if sample.item.state in WAITING else []
        if self._policy != permits.digest:
            self._policy = permits.digest
            policy = permits.digest or "open"
            tables.record(Event.RIGHTS_CHANGED, at=now, policy=policy)
        if gone:
            tables.record(Event.EXPIRED, gone, at=now, reason="rights")
        self._permits = permits
        return gone

    @override
    def first_seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        second, seen = int(now.timestamp()), self._tables.first_seen
        seen |= {uid: min(at, second) for uid, at in seen.items()}
        times = [
            second if uid in self._tables.forgotten else seen.setdefault(uid, second)
            for uid in map(Uid, uids.tolist())
        ]
        return np.array(times, dtype=np.int64)

    def permit(self, uids: Sequence[Uid]) -> None:
        """Keep until when samples that are to be queued may be asked.

        Raises
        ------
        PrivacyError
            If one may not be asked.
        """
        if self._permits is None or not self._permits.digest:
            return
        ends = self._permits.until(uids)
        for uid, end in zip(uids, ends, strict=True):
            if end is None:
                raise PrivacyError(
                    f"sample {uid} may not be asked: it has no right to be"
                )
        items = self._tables.items
        again = items.keys() - {
            uid for uid, item in items.items() if item.state is ItemState.EXPIRED
        }
        pairs = zip(uids, ends, strict=True)
        self._tables.right_until |= {u: e for u, e in pairs if e and u not in again}
