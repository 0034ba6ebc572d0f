"""Taking an answer back. Called by the desk, within an open transaction."""

from datetime import datetime

from fedask.client.labelling.desk.lease_table import LeaseTable
from fedask.client.records.annotation import AgreementRule
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.records.refusal import NotLastError
from fedask.client.records.sample_record import SampleTransaction
from fedask.common.ids import Annotator, Uid


def undo(
    rows: SampleTransaction,
    leases: LeaseTable,
    rule: AgreementRule,
    who: Annotator,
    key: str | None,
    now: datetime,
) -> Uid | None:
    """Take back an annotator's last answer, and let ``leases`` give it to them again.

    See ``Desk.undo``.

    Raises
    ------
    NotLastError
        If the key is not that of the last answer.
    """
    last = rows.given(who, None)
    if key is not None and (not last or last[0].key != key):
        return _taken_back(rows, who, key)
    for annotation in last:
        sample = rows.read(annotation.uid)
        if annotation.control or sample.item.state is not ItemState.TRAINED:
            sample = sample.without(annotation, now)
        if rows.may_show(annotation.uid, now):
            sample = leases.again(sample, who, now, control=annotation.control)
            sample = sample.settled(rule)
        else:  # taken back, but not to be seen again
            sample = sample.settled(rule).withdrawn()
        rows.write(sample)
    if last:
        rows.record(Event.UNDONE, [v.uid for v in last], now, who)
    return last[0].uid if last else None


def _taken_back(rows: SampleTransaction, who: Annotator, key: str) -> Uid:
    """Return the sample whose answer under a key is taken back, or about to be."""
    given = rows.given(who, key)
    if given:
        lease = rows.read(given[0].uid).lease_of(who)
        if given[0].undone is not None or (
            lease is not None and lease.until is not None
        ):
            return given[0].uid
    msg = "the answer under this key is not the last one: only that can be taken back"
    raise NotLastError(msg)
