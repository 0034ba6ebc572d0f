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

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import AgreementRule, Lease
from fedask.client.records.audit_event import Event
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
    """Leases samples and ends leases, within an open transaction.

    Parameters
    ----------
    rule
        Of agreement, from the settings.
    """

    def __init__(
        self, settings: DeskSettings, rule: AgreementRule, tokens: Callable[[], str]
    ) -> None:
        self._rule = rule
        self._length = timedelta(seconds=settings.lease_s)
        self._controls = settings.controls
        self._tokens = tokens

    def tidy(self, rows: SampleTransaction, now: datetime) -> None:
        """End every lease that is over, and shorten those that are too long.

        What may not be shown any more is on no screen, and waits no longer.
        """
        latest = now + self._length
        gone = rows.lapsed(now)
        for uid in gone:
            rows.write(rows.read(uid).withdrawn())
        if gone:
            rows.record(Event.EXPIRED, gone, now)
        for uid in rows.leased(outside=(now, latest)):
            sample = rows.read(uid)
            for lease in sample.leases:
                if lease.until is not None and lease.until < now:
                    sample = sample.with_lease(replace(lease, until=None))
                elif lease.until is not None and lease.until > latest:
                    sample = sample.with_lease(replace(lease, until=latest))
            rows.write(sample.settled(self._rule))

    def give(
        self, rows: SampleTransaction, who: Annotator, limit: int, now: datetime
    ) -> list[Lease]:
        """Prolong the leases of an annotator, and lease more samples up to a limit."""
        held = [rows.read(uid) for uid in rows.leased(annotator=who)]
        leases = [self._renew(rows, who, sample, now) for sample in held]
        fresh = self._new(rows, who, limit - len(held), now)
        if fresh:
            rows.record(Event.LEASED, [lease.uid for lease in fresh], now, who)
        return leases + fresh

    def end(self, rows: SampleTransaction, who: Annotator, now: datetime) -> None:
        """End all leases of an annotator."""
        held = rows.leased(annotator=who)
        if held:
            rows.record(Event.RELEASED, held, now, who)
        for uid in held:
            sample = rows.read(uid)
            (lease,) = [each for each in sample.leases if each.annotator == who]
            sample = sample.with_lease(replace(lease, until=None))
            rows.write(sample.settled(self._rule))

    def again(
        self,
        sample: SampleRecord,
        who: Annotator,
        now: datetime,
        *,
        control: bool,
        token: str = "",
    ) -> SampleRecord:
        """Return the sample with a lease to somebody who may have had one before.

        Parameters
        ----------
        control
            Whether it is given as a control.
        token
            Of a first lease; "" makes one.
        """
        old = sample.lease_of(who)
        return sample.with_lease(
            LeaseRecord(
                annotator=who,
                token=(token or self._tokens()) if old is None else old.token,
                until=now + self._length,
                control=control,
            )
        )

    def _new(
        self, rows: SampleTransaction, who: Annotator, count: int, now: datetime
    ) -> list[Lease]:
        """Lease samples that the annotator does not hold, some of them as controls."""
        fresh: list[Lease] = []
        waiting = rows.open_for(who, max(0, count), self._rule.quorum)
        while waiting and len(fresh) < count:  # no control without a question beside it
            token = self._tokens()
            control = None
            if unit_hash("control", token) < self._controls:
                start = Uid(f"{stable_seed('start', token):016x}")
                control = rows.control_for(who, start, now)
            sample = rows.read(control or waiting.pop(0))
            is_control = control is not None
            sample = self.again(sample, who, now, control=is_control, token=token)
            fresh.append(self._renew(rows, who, sample, now))
        return fresh

    def _renew(
        self,
        rows: SampleTransaction,
        who: Annotator,
        sample: SampleRecord,
        now: datetime,
    ) -> Lease:
        """Prolong a lease to its full length from now."""
        until = now + self._length
        (lease,) = [h for h in sample.leases if h.annotator == who]
        sample = sample.with_lease(replace(lease, until=until)).settled(self._rule)
        rows.write(sample)
        return Lease(
            uid=sample.item.uid,
            token=lease.token,
            until=until,
            cycle=sample.item.cycle,
            origin=sample.item.origin,
        )
