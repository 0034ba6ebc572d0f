"""Taking an answer back. Called by the desk, within an open book."""

from datetime import datetime

from fedask.client.labelling.desk.lease_table import LeaseTable
from fedask.client.records.annotation import AgreementRule
from fedask.client.records.audit_event import Event
from fedask.client.records.label_queue import ItemState
from fedask.client.records.refusal import NotLastError
from fedask.client.records.sample_record import SampleTransaction
from fedask.common.ids import Annotator, Uid


def undo(
    book: SampleTransaction,
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
    last = book.given(who, None)
    if key is not None and (not last or last[0].key != key):
        return _taken_back(book, who, key)
    for annotation in last:
        sheet = book.sheet(annotation.uid)
        if annotation.control or sheet.item.state is not ItemState.TRAINED:
            sheet = sheet.without(annotation, now)
        if book.may_show(annotation.uid, now):
            sheet = leases.again(sheet, who, now, control=annotation.control)
            sheet = sheet.settled(rule)
        else:  # taken back, but not to be seen again
            sheet = sheet.settled(rule).withdrawn()
        book.write(sheet)
    if last:
        book.record(Event.UNDONE, [v.uid for v in last], now, who)
    return last[0].uid if last else None


def _taken_back(book: SampleTransaction, who: Annotator, key: str) -> Uid:
    """Return the sample whose answer under a key is taken back, or about to be."""
    given = book.given(who, key)
    if given:
        hold = book.sheet(given[0].uid).hold_of(who)
        if given[0].undone is not None or (hold is not None and hold.until is not None):
            return given[0].uid
    msg = "the answer under this key is not the last one: only that can be taken back"
    raise NotLastError(msg)
