"""The seam that keeps a device's audit log.

Called by the store within the transaction of what it records, so that there is no
event without an entry and no entry without its event. Kept by ``log.SqliteAudit`` and
``testing.MemoryAudit``; ``NO_AUDIT`` keeps nothing. Checked by ``check``.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from typing_extensions import override

from fedask.client.records.audit_event import Event, Fact
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid


class Audit(Protocol):
    """Keeps entries. Called by one store, within its transactions."""

    def open(self, db: sqlite3.Connection, own: bytes) -> None:
        """Begin a log, or go on with it, within the transaction that opens a store.

        Parameters
        ----------
        own
            The store's own key for its log: 32 bytes, for a log that was given none.

        Raises
        ------
        StoreError
            If the log is not what its head says.
        """
        ...

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
        """Record an event, within the transaction that it happens in.

        Parameters
        ----------
        db
            In a transaction; None for a log in memory.
        uids
            Of the samples it happened to; kept as pseudonyms.
        annotator
            Whose act it is; kept as a pseudonym.
        at
            When, aware; by default now, by the log's own clock.
        facts
            Numbers and short words; never content, a label or a name.
        """
        ...

    def check_open(self, db: sqlite3.Connection) -> None:
        """Refuse a change that this log cannot record, at the start of a transaction.

        Raises
        ------
        StoreError
            If the file has a log and this is none.
        """
        ...

    def settle(self, *, committed: bool) -> None:
        """Take note that the transaction ended."""
        ...


class NoAudit(Audit):
    """Keeps nothing: for simulations, and for stores without a log."""

    @override
    def open(self, db: sqlite3.Connection, own: bytes) -> None:
        pass

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
        pass

    @override
    def check_open(self, db: sqlite3.Connection) -> None:
        if db.execute("SELECT EXISTS (SELECT 1 FROM audit)").fetchone()[0]:
            msg = "this store keeps an audit log: it cannot be changed without its key"
            raise StoreError(msg)

    @override
    def settle(self, *, committed: bool) -> None:
        pass


NO_AUDIT = NoAudit()
