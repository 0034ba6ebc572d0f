"""The rows of a store in memory. Made by ``store``; its parts read and write them.

As the parts of the store on SQLite share a file, those in memory share this. Nothing
here survives the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fedask.client.records.annotation import Annotation
from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.label_queue import Item
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.pseudo_label import PseudoLabel
from fedask.client.records.query_outcome import QueryRecord
from fedask.client.records.refusal import UnknownSampleError
from fedask.client.records.sample_record import LeaseRecord
from fedask.common.arrays import Arrays
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid


@dataclass(slots=True, kw_only=True)
class MemoryTables:
    """All rows, by uid where nothing else is said.

    Parameters
    ----------
    last_number
        Of an annotation; none is used twice, whatever is erased.
    near
        Pairs of near-duplicates, each in one direction.
    trained_in
        Cycle to the samples that it was trained on.
    forgotten
        Erased samples, each with the cycles that it was trained in.
    payloads
        Suffix and content, in the order in which they came.
    """

    audit: Audit = NO_AUDIT
    items: dict[Uid, Item] = field(default_factory=dict)
    priority: dict[Uid, float] = field(default_factory=dict)
    annotations: dict[Uid, tuple[Annotation, ...]] = field(default_factory=dict)
    last_number: int = 0
    leases: dict[Uid, tuple[LeaseRecord, ...]] = field(default_factory=dict)
    right_until: dict[Uid, datetime] = field(default_factory=dict)
    first_seen: dict[Uid, int] = field(default_factory=dict)
    near: frozenset[tuple[Uid, Uid]] = frozenset()
    scores: tuple[str, Scored] | None = None
    models: dict[str, list[Arrays]] = field(default_factory=dict)
    local_model: LocalModelRecord | None = None
    last_cycle: int = 0
    pace: bytes = b""
    decided: frozenset[Uid] = frozenset()
    query_records: dict[Uid, QueryRecord] = field(default_factory=dict)
    pseudo_labels: dict[Uid, PseudoLabel] = field(default_factory=dict)
    payloads: dict[Uid, tuple[str, bytes]] = field(default_factory=dict)
    dropped: frozenset[Uid] = frozenset()
    trained_in: dict[int, frozenset[Uid]] = field(default_factory=dict)
    forgotten: dict[Uid, tuple[int, ...]] = field(default_factory=dict)

    def item(self, uid: Uid) -> Item:
        """Return a sample in the queue.

        Raises
        ------
        UnknownSampleError
            If it is not there.
        """
        if uid not in self.items:
            raise UnknownSampleError(f"sample {uid} is not in the queue")
        return self.items[uid]

    def record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        annotator: Annotator | None = None,
        *,
        at: datetime | None = None,
        **facts: Fact,
    ) -> None:
        """Record an event in the audit log, as a transaction of its own."""
        self.audit.append(None, event, uids=uids, annotator=annotator, at=at, **facts)
        self.audit.settle(committed=True)
