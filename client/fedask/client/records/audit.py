"""The seam that keeps a device's audit log.

Called by the store within the transaction of what it records, so that there is no
event without an entry and no entry without its event. Kept by ``store.audit``;
``NO_AUDIT`` keeps nothing: for simulations, and for stores without a log.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from fedask.client.records.audit_event import Event, Fact
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid


class Audit:
    """An audit log that keeps nothing; its children keep entries.

    Called by one store, within its transactions.
    """

    def open(self, db: sqlite3.Connection, store_key: bytes) -> None:
        """Begin a log, or go on with it, within the transaction that opens a store.

        Parameters
        ----------
        store_key
            32 bytes, derived from the store's root: for a log that was given no key.

        Raises
        ------
        StoreError
            If the log is not what its head says.
        """

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

    def check_open(self, db: sqlite3.Connection) -> None:
        """Refuse a change that this log cannot record, at the start of a transaction.

        Raises
        ------
        StoreError
            If the file has a log and this is none.
        """
        if db.execute("SELECT EXISTS (SELECT 1 FROM audit)").fetchone()[0]:
            raise StoreError(
                "this store keeps an audit log: it cannot be changed without its key"
            )

    def settle(self, *, committed: bool) -> None:
        """Keep, or forget, the entries of the transaction that has ended."""


NO_AUDIT = Audit()
