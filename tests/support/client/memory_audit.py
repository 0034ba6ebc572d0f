"""An audit log in memory, with the same entries as the one in the store's file."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from typing_extensions import override

from fedask.client.records.audit import Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.store.audit.hash_chain import (
    AuditEntry,
    AuditKey,
    Head,
    genesis,
    next_entry,
)
from fedask.common.clock import Clock
from fedask.common.ids import Annotator, Uid


class MemoryAudit(Audit):
    """A log that is forgotten when the process ends; the same entries as in a file.

    Parameters
    ----------
    key
        At least 32 bytes.
    clock
        Says when, where the caller does not.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = AuditKey(key)
        self._clock = clock
        self._pending: list[AuditEntry] = []
        self.entries: list[AuditEntry] = []

    @override
    def append(
        self,
        db: sqlite3.Connection | None,
        event: Event,
        *,
        uids: Sequence[Uid] = (),
        annotator: Annotator | None = None,
        at: datetime | None = None,
        **facts: Fact,
    ) -> None:
        time = (self._clock.now() if at is None else at).astimezone(UTC).isoformat()
        for body in self._key.bodies(uids, annotator, facts):
            last = [*self.entries, *self._pending][-1:]
            tip = Head(number=0, hash=genesis(bytes(16)))
            if last:
                tip = Head(number=last[0].number, hash=last[0].hash)
            self._pending.append(next_entry(tip, self._key, time, event, body))

    @override
    def settle(self, *, committed: bool) -> None:
        if committed:
            self.entries += self._pending
        self._pending = []
