"""Leases: which sample a person is given, and until when. Called by the desk.

The order is the newest score first, then the oldest cycle, then uid. All that waits is
scored again by each new model, so scores of different cycles compare; a question that
the newest model can answer by now is not worth a person's time, however long it has
waited, and if nobody comes to it in time it expires. What has no score yet counts as 1:
nothing says that it can wait.

Leases end by the clock that is passed in, which may jump. Forward, they end early, and
an answer is taken all the same. Backward, a lease would outlive its length: the next
call of anybody shortens it to one full length from then, so it neither lasts for ever
nor is it given to a second person at once.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import AgreementRule, Lease
from fedask.client.records.audit_event import Event
from fedask.client.records.refusal import LeaseError
from fedask.client.records.sample_record import (
    LeaseRecord,
    SampleRecord,
    SampleTransaction,
)
from fedask.common.ids import Annotator, Uid, stable_seed, unit_hash

_TOKEN_BYTES = 16


def new_token() -> str:
    """Return 22 characters that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class LeaseTable:
    """Gives samples out and takes them back, within an open book.

    Parameters
    ----------
    settings
        Of the desk.
    rule
        Of agreement, from the settings.
    tokens
        Makes a new token.
    """

    def __init__(
        self, settings: DeskSettings, rule: AgreementRule, tokens: Callable[[], str]
    ) -> None:
        self._rule = rule
        self._length = timedelta(seconds=settings.lease_s)
        self._controls = settings.controls
        self._tokens = tokens

    def tidy(self, book: SampleTransaction, now: datetime) -> None:
        """End every lease that is over, and shorten those that are too long.

        What may not be shown any more is on no screen, and waits no longer.
        """
        latest = now + self._length
        gone = book.lapsed(now)
        for uid in gone:
            book.write(book.sheet(uid).withdrawn())
        if gone:
            book.record(Event.EXPIRED, gone, now)
        for uid in book.leased(outside=(now, latest)):
            sheet = book.sheet(uid)
            for hold in sheet.holds:
                if hold.until is not None and hold.until < now:
                    sheet = sheet.with_hold(replace(hold, until=None))
                elif hold.until is not None and hold.until > latest:
                    sheet = sheet.with_hold(replace(hold, until=latest))
            book.write(sheet.settled(self._rule))

    def give(
        self, book: SampleTransaction, who: Annotator, limit: int, now: datetime
    ) -> list[Lease]:
        """Let what they hold run for a full length, and give more up to a limit."""
        held = [book.sheet(uid) for uid in book.leased(annotator=who)]
        given = [self._renew(book, who, sheet, now) for sheet in held]
        fresh = self._new(book, who, limit - len(held), now)
        if fresh:
            book.record(Event.LEASED, [lease.uid for lease in fresh], now, who)
        return given + fresh

    def end(self, book: SampleTransaction, who: Annotator, now: datetime) -> None:
        """Take back all that an annotator holds."""
        held = book.leased(annotator=who)
        if held:
            book.record(Event.RELEASED, held, now, who)
        for uid in held:
            sheet = book.sheet(uid)
            for hold in sheet.holds:
                if hold.annotator == who:
                    sheet = sheet.with_hold(replace(hold, until=None))
            book.write(sheet.settled(self._rule))

    def again(
        self, sheet: SampleRecord, who: Annotator, now: datetime, *, control: bool
    ) -> SampleRecord:
        """Return the sheet with a lease to somebody who may have had one before.

        Parameters
        ----------
        control
            Whether it is given as a control.
        """
        old = sheet.hold_of(who)
        token = self._tokens() if old is None else old.token
        until = now + self._length
        return sheet.with_hold(
            LeaseRecord(annotator=who, token=token, until=until, control=control)
        )

    def _new(
        self, book: SampleTransaction, who: Annotator, count: int, now: datetime
    ) -> list[Lease]:
        """Give out samples they do not hold, some of them controls."""
        given: list[Lease] = []
        waiting = book.open_for(who, max(0, count), self._rule.quorum)
        while waiting and len(given) < count:  # no control without a question beside it
            token = self._tokens()
            uid = None
            if unit_hash("control", token) < self._controls:
                start = Uid(f"{stable_seed('start', token):016x}")
                uid = book.control_for(who, start, now)
            control = uid is not None
            sheet = book.sheet(waiting.pop(0) if uid is None else uid)
            old = sheet.hold_of(who)
            hold = LeaseRecord(
                annotator=who,
                token=token if old is None else old.token,
                until=now,
                control=control,
            )
            given.append(self._renew(book, who, sheet.with_hold(hold), now))
        return given

    def _renew(
        self,
        book: SampleTransaction,
        who: Annotator,
        sheet: SampleRecord,
        now: datetime,
    ) -> Lease:
        """Let a lease run for a full length."""
        until = now + self._length
        (hold,) = [h for h in sheet.holds if h.annotator == who]
        sheet = sheet.with_hold(replace(hold, until=until)).settled(self._rule)
        book.write(sheet)
        return Lease(
            uid=sheet.item.uid,
            token=hold.token,
            until=until,
            cycle=sheet.item.cycle,
            origin=sheet.item.origin,
        )


def leased(
    book: SampleTransaction, who: Annotator, uid: Uid, token: str
) -> SampleRecord:
    """Return the sheet of a sample, if the token is of its lease to them.

    Raises
    ------
    LeaseError
        If it is not.
    UnknownSampleError
        If the sample is not in the queue.
    """
    sheet = book.sheet(uid)
    hold = sheet.hold_of(who)
    if hold is None or not hmac.compare_digest(hold.token.encode(), token.encode()):
        msg = f"sample {uid} was not leased to {who} with this token: lease it again"
        raise LeaseError(msg)
    return sheet
