"""Rights in memory: what ``sqlite.rights`` says in SQL."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import WAITING, ItemState
from fedask.client.records.rights import Permits, RightsStore
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.common.errors import PrivacyError
from fedask.common.ids import Uid

_NEVER = datetime.min.replace(tzinfo=UTC)  # the end of a right that there is not
_FOREVER = datetime.max.replace(tzinfo=UTC)


class MemoryRights(MemoryAnnotations, RightsStore):
    """Until when samples may be asked. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._permits: Permits | None = None
        self._policy = ""
        self._seen: dict[str, int] = {}

    @override
    def use_rights(self, permits: Permits, now: datetime) -> list[Uid]:
        uids = sorted(self._items)
        ends = permits.until(uids) if permits.digest else [_FOREVER] * len(uids)
        judged = zip(uids, ends, strict=True)
        self._right_until = {uid: _NEVER if e is None else e for uid, e in judged}
        gone = []
        for uid, end in self._right_until.items():
            sheet = self.sheet(uid)
            if end == _NEVER:
                self.write(sheet.withdrawn())
                gone += [uid] if sheet.item.state in WAITING else []
        if self._policy != permits.digest:
            self._policy = permits.digest
            policy = permits.digest or "open"
            self._record(Event.RIGHTS_CHANGED, at=now, policy=policy)
        if gone:
            self._record(Event.EXPIRED, gone, at=now, reason="rights")
        self._permits = permits
        return gone

    @override
    def seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        second = int(now.timestamp())
        self._seen = {uid: min(at, second) for uid, at in self._seen.items()}
        times = [
            second if uid in self._forgotten else self._seen.setdefault(uid, second)
            for uid in uids.tolist()
        ]
        return np.array(times, dtype=np.int64)

    def _permit(self, uids: Sequence[Uid]) -> None:
        """Keep until when samples that are to be queued may be asked."""
        if self._permits is None or not self._permits.digest:
            return
        ends = self._permits.until(uids)
        for uid, end in zip(uids, ends, strict=True):
            if end is None:
                msg = f"sample {uid} may not be asked: it has no right to be"
                raise PrivacyError(msg)
        again = self._items.keys() - {
            uid for uid, item in self._items.items() if item.state is ItemState.EXPIRED
        }
        pairs = zip(uids, ends, strict=True)
        self._right_until |= {u: e for u, e in pairs if e and u not in again}
