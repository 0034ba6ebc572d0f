"""In-memory doubles of the device's seams, shipped for tests and large simulations.

Each passes the same contract test as the real one. Nothing here survives the process.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.asking.pace import Pace
from fedask.client.asking.precedents import Finding, Precedent, kept
from fedask.client.audit.chain import (
    MOVED,
    NO_AUDIT,
    Audit,
    AuditKey,
    Entry,
    Event,
    Fact,
    Head,
    NoAudit,
    genesis,
    next_entry,
)
from fedask.client.labelling.memory import WAITING
from fedask.client.labelling.queue import (
    MOVES,
    ORACLE,
    DeviceStore,
    Item,
    Origin,
    State,
    Waiting,
    check_move,
    check_pace,
    check_plain_move,
)
from fedask.client.labelling.verdict import Kind, Verdict
from fedask.client.rights.permitted import Permits
from fedask.client.storage.erasure import Erased, Training
from fedask.client.storage.keyring import Keyring, without
from fedask.client.storage.kinds import OWN
from fedask.client.storage.memory_shelf import MemoryShelf
from fedask.client.storage.payload import StoreQuota
from fedask.client.training.own import OwnRecord, fresh_answers
from fedask.client.training.sure import Sure
from fedask.common.clock import Clock
from fedask.common.errors import PrivacyError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid
from fedask.common.records import Cut
from fedask.common.seal import Key
from fedask.common.weights import Arrays

_NEVER = datetime.min.replace(tzinfo=UTC)  # the end of a right that there is not
_FOREVER = datetime.max.replace(tzinfo=UTC)


class MemoryStore(MemoryShelf, DeviceStore):
    """The store of a device that forgets when the process ends."""

    def __init__(
        self, quota: StoreQuota | None = None, audit: Audit = NO_AUDIT
    ) -> None:
        super().__init__(quota)
        self._audit = audit
        self._permits: Permits | None = None
        self._policy = ""
        self._seen: dict[str, int] = {}
        self._last_cycle = 0
        self._sure: dict[Uid, Sure] = {}
        self._own: OwnRecord | None = None
        self._taken: frozenset[Uid] = frozenset()
        self._scores: tuple[str, Scored] | None = None
        self._models: dict[str, list[Arrays]] = {}
        self._cut: Cut | None = None
        self._pace = b""
        self._precedents: dict[Uid, Precedent] = {}
        self._trained_in: dict[int, frozenset[Uid]] = {}  # by cycle

    @override
    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        if cycle <= self._last_cycle:
            return False
        uids = [uid for uid in uids if uid not in self._forgotten]
        self._permit(uids)
        self._last_cycle = cycle
        for uid in uids:
            known = self._items.get(uid)
            if known is None:
                self._items[uid] = Item(uid=uid, state=State.QUEUED, cycle=cycle)
            elif known.state is State.EXPIRED:
                self._items[uid] = replace(
                    known,
                    state=State.QUEUED,
                    cycle=cycle,
                    asked=known.asked + 1,
                    origin=Origin.CUT,
                )
        if self._scores is not None:
            _, kept = self._scores
            scores = zip(kept.uids.tolist(), kept.scores.tolist(), strict=True)
            self._priority |= {Uid(uid): s for uid, s in scores if uid in set(uids)}
        self._record(Event.QUEUED, uids, cycle=cycle)
        return True

    @override
    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        items = [self._item(uid) for uid in answers]
        fresh = [item for item in items if item.label is None]
        for item in fresh:
            check_move(item, State.LABELLED)
        for item in fresh:
            label = answers[item.uid]
            self._give(item.uid, annotator, Kind.GIVEN, label)
            self._items[item.uid] = replace(
                item,
                state=State.LABELLED,
                label=label,
                leased_until=None,
                outcome=item.outcome or State.LABELLED,
            )
        told = [item.uid for item in fresh]
        if told:
            self._record(Event.LABELLED, told, annotator, source="oracle")
        return frozenset(told)

    @override
    def move(self, uids: Iterable[Uid], to: State, *, meanwhile: bool = False) -> None:
        moving = [self._item(uid) for uid in dict.fromkeys(uids)]
        moving = [item for item in moving if item.state is not to]
        if meanwhile:
            moving = [item for item in moving if to in MOVES[item.state]]
        for item in moving:
            check_plain_move(item, to)
        for item in moving:
            skipped = to if to is State.SKIPPED else None
            if skipped:
                self._give(item.uid, ORACLE, Kind.SKIP, None)
            self._end_leases(item.uid)
            self._items[item.uid] = replace(
                item,
                state=to,
                leased_until=None,
                expired=item.expired + (to is State.EXPIRED and item.outcome is None),
                outcome=item.outcome or skipped,
            )
        if moving:
            self._record(MOVED[to], [item.uid for item in moving])

    @override
    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        changed = []
        for uid, label in labels.items():
            item = self._items.get(uid)
            if item and (item.state, item.label) == (State.LABELLED, label):
                self._items[uid] = replace(item, state=State.TRAINED)
                changed.append(uid)
        if changed:
            self._record(Event.TRAINED, changed)
        if training is not None:
            known = self._trained_in.get(training.cycle, frozenset())
            used = known | training.uids - self._forgotten.keys()
            self._trained_in[training.cycle] = used

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        wanted = list(uids)
        fresh = sorted(frozenset(wanted) - self._forgotten.keys())
        for uid in fresh:
            cycles = [c for c, used in sorted(self._trained_in.items()) if uid in used]
            self._forgotten[uid] = tuple(cycles)
        kept = (self._items, self._priority, self._holds, self._precedents, self._sure)
        for each in (*kept, self._right_until, self._seen):
            for uid in wanted:
                each.pop(uid, None)
        if fresh:
            self._record(Event.FORGOTTEN, fresh)
        gone = frozenset(wanted)
        if self._own is not None and not gone.isdisjoint(self._own.answers):
            self._own = None
            self._models.pop(OWN, None)
        self._taken -= gone
        self._payloads = {u: p for u, p in self._payloads.items() if u not in gone}
        self._dropped -= gone
        self._verdicts = {n: v for n, v in self._verdicts.items() if v.uid not in gone}
        self._trained_in = {c: used - gone for c, used in self._trained_in.items()}
        self._near = frozenset(p for p in self._near if gone.isdisjoint(p))
        self._drop_scores(wanted)
        if self._pace:
            self._pace = _without(self._pace, gone)
        found = {uid: self._forgotten[uid] for uid in wanted}
        models = tuple(sorted(self._models)) if any(found.values()) else ()
        return Erased(cycles=found, models=models, clean=True)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        return frozenset(uid for uid in uids if uid in self._forgotten)

    @override
    def items(self) -> list[Item]:
        return [self._items[uid] for uid in sorted(self._items)]

    @override
    def put_scores(
        self, version: str, scored: Scored, waiting: Waiting | None = None
    ) -> None:
        self._scores = (version, scored)
        self._drop_scores(list(self._forgotten))
        self._record(Event.SCORED, kept=len(self._scores[1]))
        if waiting is not None:
            known = waiting.scores.keys() & self._items.keys()
            self._priority |= {uid: waiting.scores[uid] for uid in known}
            self._near = frozenset(
                pair for pair in waiting.near if not self.forgotten(pair)
            )

    @override
    def scores(self) -> tuple[str, Scored] | None:
        return self._scores

    @override
    def last_cycle(self) -> int:
        return self._last_cycle

    @override
    def put_model(self, kind: str, arrays: Arrays, keep: int) -> None:
        self._models[kind] = [*self._models.get(kind, []), arrays][-keep:]

    @override
    def models(self, kind: str) -> list[Arrays]:
        return list(self._models.get(kind, []))

    @override
    def put_cut(self, cut: Cut) -> None:
        self._cut = cut

    @override
    def cut(self) -> Cut | None:
        return self._cut

    @override
    def add_arrivals(
        self,
        cycle: int,
        asked: Mapping[Uid, Origin],
        pace: bytes,
        before: bytes,
        taken: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        check_pace(self._pace, before)
        self._taken |= frozenset(taken) - self._forgotten.keys()
        fresh = frozenset(asked) - self._items.keys() - self._forgotten.keys()
        self._permit([uid for uid in asked if uid in fresh])
        for uid in fresh:
            self._items[uid] = Item(
                uid=uid, state=State.QUEUED, cycle=cycle, origin=asked[uid]
            )
        self._pace = pace
        if fresh:
            uids = [uid for uid in asked if uid in fresh]
            self._record(Event.QUEUED, uids, cycle=cycle, source="arrival")
        return fresh

    @override
    def pace(self) -> bytes:
        return self._pace

    @override
    def taken(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        return self._taken & frozenset(uids)

    @override
    def put_asked(self, precedents: Iterable[Precedent]) -> None:
        merged = dict(self._precedents)
        for precedent in precedents:
            before = merged.get(precedent.uid)
            fresh = before is None or before.finding is None
            if fresh and precedent.uid not in self._forgotten:
                merged[precedent.uid] = replace(precedent, finding=None)
        self._precedents = {each.uid: each for each in kept(merged.values())}

    @override
    def put_findings(self, findings: Mapping[Uid, Finding]) -> None:
        for uid, finding in findings.items():
            before = self._precedents.get(uid)
            if before is not None and before.finding is None:
                self._precedents[uid] = replace(before, finding=finding)

    @override
    def precedents(self) -> list[Precedent]:
        return [self._precedents[uid] for uid in sorted(self._precedents)]

    def use_rights(self, permits: Permits, now: datetime) -> list[Uid]:
        """Apply permits: see ``SqliteStore.use_rights``."""
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

    def seen(self, uids: NDArray[np.str_], now: datetime) -> NDArray[np.int64]:
        """Return when each sample was first seen: see ``SeenStore``."""
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
            uid for uid, item in self._items.items() if item.state is State.EXPIRED
        }
        pairs = zip(uids, ends, strict=True)
        self._right_until |= {u: e for u, e in pairs if e and u not in again}

    def _record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        annotator: Annotator | None = None,
        *,
        at: datetime | None = None,
        **facts: Fact,
    ) -> None:
        self._audit.append(None, event, uids=uids, annotator=annotator, at=at, **facts)
        self._audit.settle(committed=True)

    @override
    def put_sure(self, sure: Sequence[Sure]) -> None:
        controls = {s.uid: s for s in self._sure.values() if s.control}
        self._sure = {s.uid: s for s in sure} | controls

    @override
    def sure(self) -> list[Sure]:
        return [self._sure[uid] for uid in sorted(self._sure)]

    @override
    def put_own(self, record: OwnRecord, arrays: Arrays | None) -> bool:
        if self.forgotten(record.answers):
            return False
        fresh = sorted(fresh_answers(record.answers, self._own))
        self._own = record
        self._models.pop(OWN, None)
        if arrays is not None:
            self._models[OWN] = [arrays]
        self._record(
            Event.OWN_TRAINED, fresh, at=record.at, answers=len(record.answers)
        )
        return True

    @override
    def own(self) -> OwnRecord | None:
        return self._own

    @override
    def close(self) -> None:
        pass

    @override
    def _drop_scores(self, uids: list[Uid]) -> None:
        if self._scores is not None and uids:
            version, scored = self._scores
            stays = ~np.isin(scored.uids, sorted(uids))
            self._scores = (version, scored if stays.all() else scored.keep(stays))

    def _give(
        self, uid: Uid, annotator: Annotator, kind: Kind, label: int | None
    ) -> None:
        """Keep what an oracle said, and end what people hold of the sample."""
        self._add_verdict(
            Verdict(uid=uid, annotator=annotator, kind=kind, label=label, at=None)
        )
        self._end_leases(uid)


def _without(pace: bytes, gone: frozenset[Uid]) -> bytes:
    """Take samples out of the last batch of a stream."""
    kept = Pace.from_bytes(pace)
    if gone.isdisjoint(kept.last):
        return pace
    last = tuple(uid for uid in kept.last if uid not in gone)
    return replace(kept, last=last).to_bytes()


class MemoryKeyring(Keyring):
    """Keys that are lost when the process ends."""

    place = "this process"

    def __init__(self) -> None:
        self._keys: tuple[Key, ...] = ()

    @override
    def read(self) -> tuple[Key, ...]:
        return self._keys

    @override
    def add(self, key: Key) -> None:
        self._keys = (*self._keys, key)

    @override
    def drop(self, key_id: bytes) -> None:
        self._keys = without(self._keys, key_id, self.place)


class MemoryAudit(NoAudit):
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
        self._pending: list[Entry] = []
        self.entries: list[Entry] = []

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


class FakeClock(Clock):
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    @override
    def now(self) -> datetime:
        return self.time
