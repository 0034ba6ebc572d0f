"""The labelling desk: gives samples to people and takes their verdicts.

Called by whatever people use: a page, a service, a terminal, an import; each a process
of its own over the device's one file. Never by the server, which has no say here.

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from fedask.client.audit.chain import Event
from fedask.client.labelling.queue import State
from fedask.client.labelling.refusals import (
    KeyReusedError,
    LeaseError,
    NotLastError,
    NotNearError,
    RightEndedError,
    UnknownSampleError,
)
from fedask.client.labelling.settings import DeskSettings
from fedask.client.labelling.sheet import Book, Hold, Sheet, VerdictStore
from fedask.client.labelling.taking import Taken, check_key, check_verdict, judged
from fedask.client.labelling.verdict import (
    SKIP,
    UNSURE,
    Kind,
    Label,
    Lease,
    Progress,
    Receipt,
    Rule,
    Said,
    Verdict,
)
from fedask.common.clock import Clock
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid, parse_annotator, stable_seed, unit_hash

MAX_HELD = 1000  # leases of one annotator
_TOKEN_BYTES = 16
_EVENTS: dict[Said, Event] = {SKIP: Event.SKIPPED, UNSURE: Event.UNSURE}
_TAKEN = {Kind.SKIP: Event.SKIPPED, Kind.UNSURE: Event.UNSURE}


def new_token() -> str:
    """Return 22 characters that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Desk:
    """Where people get samples and leave verdicts. One per connection.

    Parameters
    ----------
    store
        The device's.
    clock
        Ends leases.
    settings
        Of the device.
    tokens
        Makes a new token.

    Raises
    ------
    ProtocolError
        From every method that takes an annotator, if that is no name.
    StoreError
        From every method, if the disk refuses.
    """

    def __init__(
        self,
        store: VerdictStore,
        clock: Clock,
        settings: DeskSettings,
        tokens: Callable[[], str] = new_token,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._rule = Rule.parse(settings.rule, settings.unsure)
        self._length = timedelta(seconds=settings.lease_s)
        self._tokens = tokens

    @property
    def quorum(self) -> int:
        """How many people must agree about a sample."""
        return self._rule.quorum

    def lease(self, annotator: str, limit: int) -> list[Lease]:
        """Give samples to an annotator until they hold ``limit``.

        Returns all that they hold, what they held before first: a client that lost
        its memory, or asks again, gets the same samples, for a full length.

        Parameters
        ----------
        limit
            From 0 to ``MAX_HELD``.

        Raises
        ------
        ProtocolError
            If the limit is out of range.
        """
        who = parse_annotator(annotator)
        if not 0 <= limit <= MAX_HELD:
            msg = f"a lease of {limit} samples: must be 0 to {MAX_HELD}"
            raise ProtocolError(msg)
        with self._open() as (book, now):
            held = [book.sheet(uid) for uid in book.leased(annotator=who)]
            given = [self._renew(book, who, sheet, now) for sheet in held]
            fresh = self._new(book, who, limit - len(held), now)
            if fresh:
                book.record(Event.LEASED, [lease.uid for lease in fresh], now, who)
        return given + fresh

    def lacks(self, annotator: str, limit: int) -> bool:
        """Tell whether ``lease`` would give this annotator anything they do not hold.

        Gives and prolongs nothing, so that it may be asked again and again.
        """
        who = parse_annotator(annotator)
        with self._open() as (book, _):
            room = len(book.leased(annotator=who)) < limit
            return room and bool(book.open_for(who, 1, self._rule.quorum))

    def check_lease(self, annotator: str, uid: Uid, token: str) -> None:
        """Refuse whoever was not given this sample with this token.

        Raises
        ------
        ProtocolError
            If the token is of another lease.
        StoreError
            If the sample is not in the queue.
        """
        who = parse_annotator(annotator)
        with self._open() as (book, _):
            _leased(book, who, uid, token)

    def submit(
        self,
        annotator: str,
        uid: Uid,
        token: str,
        verdict: Said,
        key: str,
        also: Sequence[Uid] = (),
    ) -> Receipt:
        """Keep what an annotator says of a sample they were given.

        Taken even if the lease ran out; it counts unless others settled the sample in
        the meantime. A second verdict of the same annotator replaces their first.

        Parameters
        ----------
        token
            Of the lease.
        verdict
            ``Label(class index)``, ``SKIP`` or ``UNSURE``.
        key
            Names this act of answering; the same key again changes nothing.
        also
            Near-duplicates (``near``) that the person says are the same.

        Raises
        ------
        ProtocolError
            If the token is of another lease, the key of another sample, the label no
            class, or one of ``also`` is no near-duplicate or got no label.
        RightEndedError
            If the right to use the sample has ended.
        StoreError
            If the sample is not in the queue.
        """
        who = parse_annotator(annotator)
        self._check(verdict, key, also)
        with self._open() as (book, now):
            if not book.given(who, key):
                sheets = self._for_verdict(book, who, uid, token, also)
                for sheet in sheets:
                    _check_right(book, sheet.item.uid, now)
                for sheet in sheets:
                    fresh = self._verdict(sheet, who, verdict, key, now)
                    if sheet.item.uid != uid:
                        fresh = replace(
                            fresh, kind=Kind.SHARED, token="", control=False
                        )
                    book.write(self._said(sheet, fresh, now))
                event = _EVENTS.get(verdict, Event.LABELLED)
                book.record(event, [sheet.item.uid for sheet in sheets], now, who)
            return _receipt(book.given(who, key), uid)

    def take(self, verdicts: Sequence[Verdict]) -> list[Taken]:
        """Keep verdicts that people gave elsewhere, without a lease.

        All of them, or none. The same key of the same annotator on the same sample
        changes nothing when it comes again, even if the verdict was taken back in the
        meantime. A newer verdict of an annotator replaces their older one, whichever
        comes first. ``undo`` takes back what was taken last, like any other answer.

        Parameters
        ----------
        verdicts
            Each with sample, annotator, kind, label, time (None: nobody knows) and key.
            GIVEN settles its sample at once; LABEL and SHARED are an opinion under the
            rule of agreement.

        Returns
        -------
        list
            What became of each, in their order.

        Raises
        ------
        ProtocolError
            If one of them is nothing that a person may have said: see
            ``taking.check_verdict``.
        """
        self.check(verdicts)
        with self._open() as (book, now):
            taken = [self._take(book, verdict, now) for verdict in verdicts]
            acts: dict[tuple[Event, Annotator], list[Uid]] = {}
            for verdict, became in zip(verdicts, taken, strict=True):
                if became is Taken.KEPT:
                    event = _TAKEN.get(verdict.kind, Event.LABELLED)
                    acts.setdefault((event, verdict.annotator), []).append(verdict.uid)
            for (event, who), uids in acts.items():
                book.record(event, uids, now, who)
            return taken

    def take_back(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Take back verdicts of ``take``, as their annotators did where they gave them.

        One that a model was trained on stands, as for ``undo``; nobody is given the
        sample, which waits again.

        Returns
        -------
        list
            Those that were taken back.
        """
        gone: list[Verdict] = []
        with self._open() as (book, now):
            for verdict in verdicts:
                given = book.given(verdict.annotator, verdict.key)
                if all(each.undone is not None for each in given):
                    continue  # taken back, replaced or erased in the meantime
                sheet = book.sheet(verdict.uid)
                if sheet.item.state is State.TRAINED:
                    continue
                sheet = sheet.without(verdict, now).settled(self._rule)
                may_wait = book.may_show(verdict.uid, now)
                book.write(sheet if may_wait else sheet.withdrawn())
                gone.append(verdict)
            for who in sorted({verdict.annotator for verdict in gone}):
                uids = [verdict.uid for verdict in gone if verdict.annotator == who]
                book.record(Event.UNDONE, uids, now, who)
        return gone

    def check(self, verdicts: Iterable[Verdict]) -> None:
        """Refuse what ``take`` would refuse; nothing is kept.

        Raises
        ------
        ProtocolError
            As ``take``.
        """
        now = self._clock.now()
        for verdict in verdicts:
            check_verdict(verdict, self._settings.classes, now)

    def undo(self, annotator: str, key: str | None = None) -> Uid | None:
        """Take back an annotator's last answer and give them the sample again.

        With it go the verdicts on near-duplicates. One that a model was trained on
        stands until it is answered anew: then the sample is trained on again.

        Parameters
        ----------
        key
            That the answer was given under: once it is taken back, the same call again
            changes nothing. None: whatever the last answer is.

        Returns
        -------
        Uid
            Of the sample; None if there is nothing to take back.

        Raises
        ------
        ProtocolError
            If the key is not that of the last answer.
        """
        who = parse_annotator(annotator)
        with self._open() as (book, now):
            last = book.given(who, None)
            if key is not None and (not last or last[0].key != key):
                return _taken_back(book, who, key)
            for verdict in last:
                sheet = book.sheet(verdict.uid)
                old = sheet.hold_of(who)
                hold = Hold(
                    annotator=who,
                    token=self._tokens() if old is None else old.token,
                    until=now + self._length,
                    control=verdict.control,
                )
                if verdict.control or sheet.item.state is not State.TRAINED:
                    sheet = sheet.without(verdict, now)
                if book.may_show(verdict.uid, now):
                    sheet = sheet.with_hold(hold).settled(self._rule)
                else:  # taken back, but not to be seen again
                    sheet = sheet.settled(self._rule).withdrawn()
                book.write(sheet)
            if last:
                book.record(Event.UNDONE, [v.uid for v in last], now, who)
        return last[0].uid if last else None

    def release(self, annotator: str) -> None:
        """Give back all that an annotator holds; answers on their way are taken."""
        who = parse_annotator(annotator)
        with self._open() as (book, now):
            held = book.leased(annotator=who)
            if held:
                book.record(Event.RELEASED, held, now, who)
            for uid in held:
                sheet = book.sheet(uid)
                for hold in sheet.holds:
                    if hold.annotator == who:
                        sheet = sheet.with_hold(replace(hold, until=None))
                book.write(sheet.settled(self._rule))

    def progress(self, annotator: str | None = None) -> Progress:
        """Count states, classes and verdicts.

        Parameters
        ----------
        annotator
            Who asks: they see their own verdicts and no controls. None: the site.
        """
        midnight = datetime.combine(self._clock.now().astimezone(UTC), time(), UTC)
        all_of_it = self._store.progress(midnight)
        if annotator is None:
            return all_of_it
        who = parse_annotator(annotator)
        mine = all_of_it.annotators.get(who, 0)
        return replace(all_of_it, annotators={who: mine}, controls={})

    def history(self, limit: int, annotator: str | None = None) -> list[Verdict]:
        """Return the last verdicts, newest first, those taken back among them.

        Parameters
        ----------
        limit
            At most so many.
        annotator
            Who asks: they see their own, and not which were controls. None: the site.
        """
        if annotator is None:
            return self._store.verdicts(limit, None)
        mine = self._store.verdicts(limit, parse_annotator(annotator))
        return [replace(verdict, control=False) for verdict in mine]

    def near(self, uid: Uid) -> list[Uid]:
        """Return waiting samples so close to this one that one answer may serve all."""
        with self._open():  # what waited too long does not wait now
            pass
        return self._store.near(uid)

    @contextmanager
    def _open(self) -> Iterator[tuple[Book, datetime]]:
        """Begin a transaction in which no lease is over or too long.

        What may not be shown any more is on no screen, and waits no longer.
        """
        now = self._clock.now()
        latest = now + self._length
        with self._store.book() as book:
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
            yield book, now

    def _new(
        self, book: Book, who: Annotator, count: int, now: datetime
    ) -> list[Lease]:
        """Give out samples they do not hold, some of them controls."""
        given: list[Lease] = []
        waiting = book.open_for(who, max(0, count), self._rule.quorum)
        while waiting and len(given) < count:  # no control without a question beside it
            token = self._tokens()
            uid = None
            if unit_hash("control", token) < self._settings.controls:
                start = Uid(f"{stable_seed('start', token):016x}")
                uid = book.control_for(who, start, now)
            control = uid is not None
            sheet = book.sheet(waiting.pop(0) if uid is None else uid)
            old = sheet.hold_of(who)
            hold = Hold(
                annotator=who,
                token=token if old is None else old.token,
                until=now,
                control=control,
            )
            given.append(self._renew(book, who, sheet.with_hold(hold), now))
        return given

    def _renew(self, book: Book, who: Annotator, sheet: Sheet, now: datetime) -> Lease:
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

    def _check(self, verdict: Said, key: str, also: Sequence[Uid]) -> None:
        """Refuse what no client should send."""
        check_key(key)
        if isinstance(verdict, Label):
            if not 0 <= verdict.index < self._settings.classes:
                msg = f"label {verdict.index} is not one of {self._settings.classes} "
                raise ProtocolError(msg + "classes")
        elif verdict not in (SKIP, UNSURE):
            msg = f"a verdict is a label, SKIP or UNSURE, not {verdict!r:.40}"
            raise ProtocolError(msg)
        elif also:
            msg = "only a label can be shared with near-duplicates"
            raise ProtocolError(msg)

    def _for_verdict(
        self, book: Book, who: Annotator, uid: Uid, token: str, also: Sequence[Uid]
    ) -> list[Sheet]:
        """Return the sheets that a verdict is for, the sample's own first."""
        sheet = _leased(book, who, uid, token)
        near = self._store.near(uid) if also else []
        wrong = sorted(set(also) - set(near))
        if wrong:
            msg = f"sample {wrong[0]:.40} is no near-duplicate of {uid} that waits"
            raise NotNearError(msg)
        return [sheet, *(book.sheet(other) for other in sorted(set(also)))]

    def _take(self, book: Book, verdict: Verdict, now: datetime) -> Taken:
        known = book.given(verdict.annotator, verdict.key)
        if any(each.uid == verdict.uid for each in known):
            return Taken.KNOWN
        try:
            sheet = book.sheet(verdict.uid)
        except UnknownSampleError:
            return Taken.UNKNOWN
        if not book.may_show(verdict.uid, now):
            return Taken.BARRED
        taken = judged(sheet, verdict)
        if taken is Taken.KEPT:
            book.write(self._said(sheet, verdict, now))
        return taken

    def _verdict(
        self, sheet: Sheet, who: Annotator, said: Said, key: str, now: datetime
    ) -> Verdict:
        hold = sheet.hold_of(who)
        return Verdict(
            uid=sheet.item.uid,
            annotator=who,
            kind=Kind.LABEL if isinstance(said, Label) else said,
            label=said.index if isinstance(said, Label) else None,
            at=now,
            key=key,
            token="" if hold is None else hold.token,
            control=hold is not None and hold.control,
        )

    def _said(self, sheet: Sheet, fresh: Verdict, now: datetime) -> Sheet:
        """Add a verdict, in the place of the same annotator's before; end the lease."""
        hold = sheet.hold_of(fresh.annotator)
        if hold is not None and hold.control == fresh.control:
            sheet = sheet.with_hold(replace(hold, until=None))
        for before in sheet.verdicts:
            mine = before.annotator == fresh.annotator and before.undone is None
            if mine and before.control == fresh.control:
                fresh = replace(fresh, place=before.place)
                sheet = sheet.without(before, now)
        sheet = replace(sheet, verdicts=(*sheet.verdicts, fresh))
        return sheet.settled(self._rule)


def _leased(book: Book, who: Annotator, uid: Uid, token: str) -> Sheet:
    """Return the sheet of a sample, if the token is of its lease to them."""
    sheet = book.sheet(uid)
    hold = sheet.hold_of(who)
    if hold is None or not hmac.compare_digest(hold.token.encode(), token.encode()):
        msg = f"sample {uid} was not leased to {who} with this token: lease it again"
        raise LeaseError(msg)
    return sheet


def _taken_back(book: Book, who: Annotator, key: str) -> Uid:
    """Return the sample whose answer under a key is taken back, or about to be."""
    given = book.given(who, key)
    if given:
        hold = book.sheet(given[0].uid).hold_of(who)
        if given[0].undone is not None or (hold is not None and hold.until is not None):
            return given[0].uid
    msg = "the answer under this key is not the last one: only that can be taken back"
    raise NotLastError(msg)


def _check_right(book: Book, uid: Uid, now: datetime) -> None:
    """Refuse a verdict on what may not be used any more: it could not be either."""
    if not book.may_show(uid, now):
        msg = f"sample {uid} may not be used any more: its right to be has ended"
        raise RightEndedError(msg)


def _receipt(verdicts: Sequence[Verdict], uid: Uid) -> Receipt:
    """Write the receipt for what was kept under one key."""
    first, *shared = verdicts
    if first.uid != uid or first.at is None:
        msg = f"this key was used for sample {first.uid}: every answer needs its own"
        raise KeyReusedError(msg)
    return Receipt(
        number=first.number,
        uid=uid,
        kind=first.kind,
        label=first.label,
        at=first.at,
        shared=tuple(verdict.uid for verdict in shared),
    )
