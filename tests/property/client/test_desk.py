import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.support.client.clerk import LENGTH, Clerk
from tests.support.client.clock import FakeClock
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.desk.imported_annotation import Acceptance
from fedask.client.records.annotation import (
    SKIP,
    UNSURE,
    Annotation,
    Kind,
    Label,
    Receipt,
)
from fedask.client.records.device_store import Waiting
from fedask.client.records.label_queue import ItemState, totals
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

UIDS = [Uid(letter * 32) for letter in "abcdefgh"]
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
SAID: dict[str | int, Label | Kind] = {
    "skip": SKIP,
    "unsure": UNSURE,
    0: Label(0),
    1: Label(1),
    2: Label(2),
}
JUMPS = [-(10**6), -61, -60, -1, 0, 1, 60, 61, 10**6]

some_uids = st.lists(st.sampled_from(UIDS), max_size=3, unique=True)
one_uid = st.sampled_from(UIDS)
person = st.sampled_from(["ann", "bob", "cyd"])
annotation = st.sampled_from(list(SAID))
Store = MemoryStore | SqliteStore
Act = tuple[str, Uid, str, Label | Kind, str]


class Office(RuleBasedStateMachine):
    """People, oracle and trainer on both stores, and on a clerk's paper.

    Two connections share the SQLite file, as two processes do; any may end between two
    steps without a word.
    """

    @initialize(agree=st.sampled_from([1, 2]))
    def open(self, agree: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "device.db"
        self.clock = FakeClock(EPOCH)
        self.settings = DeskSettings(
            classes=3,
            rule={1: "one", 2: "two"}[agree],
            lease_s=LENGTH.total_seconds(),
        )
        self.stores: list[Store] = [
            MemoryStore(),
            SqliteStore(self.path),
            SqliteStore(self.path),
        ]
        self.counters = [count(), count()]
        self.clerk = Clerk(agree)
        self.cycle = 0
        self.scores: dict[Uid, float] = {}
        self.tokens: dict[tuple[str, Uid], str] = {}
        self.acts: list[tuple[Act, Receipt]] = []
        self.brought = count()
        self.kept: list[str] = []  # keys of what other tools brought
        self.before = (0, 0, 0, 0)
        self.add(UIDS[:5])

    def both(self) -> list[Desk]:
        """The desk over either store."""
        return [
            Desk(store.annotations, self.clock, self.settings, tokens=token_of(counter))
            for store, counter in zip(self.stores[:2], self.counters, strict=True)
        ]

    @rule(uids=some_uids)
    def add(self, uids: list[Uid]) -> None:
        self.cycle += 1
        for store in self.stores[:2]:
            assert store.queue.add(self.cycle, uids)
        self.clerk.add(self.cycle, uids, self.scores)

    @rule(scores=st.dictionaries(one_uid, st.sampled_from([0.0, 0.25, 0.5])))
    def score(self, scores: dict[Uid, float]) -> None:
        self.scores = scores
        uids = np.array(list(scores), dtype=np.str_)
        values = np.array(list(scores.values()), dtype=np.float32)
        scored = Scored.ranked(uids, values, np.zeros(len(scores), np.int64))
        for store in self.stores[:2]:
            store.scores.put("v", scored, Waiting(scores=scores))
        for uid in scores.keys() & self.clerk.papers.keys():
            self.clerk.papers[uid].score = scores[uid]

    @rule(seconds=st.sampled_from(JUMPS))
    def jump(self, seconds: int) -> None:
        self.clock.time += timedelta(seconds=seconds)

    @rule(who=person, limit=st.integers(0, 3))
    def lease(self, who: str, limit: int) -> None:
        expected = self.clerk.lease(who, limit, self.clock.time)
        one, two = (desk.lease(who, limit) for desk in self.both())
        assert one == two
        assert [lease.uid for lease in one] == expected
        assert all(lease.until == self.clock.time + LENGTH for lease in one)
        for lease in one:
            kept = self.tokens.setdefault((who, lease.uid), lease.token)
            assert kept == lease.token

    @rule(some=st.lists(st.tuples(person, annotation), min_size=1, max_size=4))
    def work(self, some: list[tuple[str, str | int]]) -> None:
        """People take the next samples, one by one, and answer them."""
        for who, said in some:
            self.lease(who, 1)
            held = [u for u, paper in self.clerk.papers.items() if who in paper.leases]
            if held:
                self.answer(who, min(held), said)

    @precondition(lambda self: self.tokens)
    @rule(said=annotation, which=st.integers(0, 99))
    def submit(self, said: str | int, which: int) -> None:
        """Somebody answers what they were given at any time, however long ago."""
        who, uid = sorted(self.tokens)[which % len(self.tokens)]
        self.answer(who, uid, said)

    def answer(self, who: str, uid: Uid, said: str | int) -> None:
        act = (who, uid, self.tokens[who, uid], SAID[said], f"{len(self.acts)}")
        one, two = (desk.submit(*act) for desk in self.both())
        assert one == two
        self.acts.append((act, one))
        self.clerk.submit(who, uid, said, self.clock.time)

    @precondition(lambda self: self.acts)
    @rule(which=st.integers(0, 99))
    def replay(self, which: int) -> None:
        act, receipt = self.acts[which % len(self.acts)]
        self.clerk.tick(self.clock.time)
        for desk in self.both():
            assert desk.submit(*act) == receipt

    @rule(who=person, uid=one_uid, said=annotation, ago=st.sampled_from([0, 0, 0, 90]))
    def another_tool_brings(
        self, who: str, uid: Uid, said: str | int, ago: int
    ) -> None:
        """An annotation without a lease, now or a while ago; then it again."""
        given = SAID[said]
        brought = Annotation(
            uid=uid,
            annotator=Annotator(who),
            kind=Kind.LABEL if isinstance(given, Label) else given,
            label=given.index if isinstance(given, Label) else None,
            at=self.clock.time - timedelta(seconds=ago),
            key=f"tool-{next(self.brought)}",
        )
        one, two = (desk.accept([brought]) for desk in self.both())
        assert one == two
        assert (one == [Acceptance.UNKNOWN]) == (uid not in self.clerk.papers)
        self.clerk.tick(self.clock.time)
        if one == [Acceptance.KEPT]:
            self.clerk.submit(who, uid, said, self.clock.time)
            self.kept.append(brought.key)
        again = [Acceptance.KNOWN] if one == [Acceptance.KEPT] else one
        assert [desk.accept([brought]) for desk in self.both()] == [again, again]

    @rule(who=person)
    def undo(self, who: str) -> None:
        expected = self.clerk.undo(who, self.clock.time)
        for desk in self.both():
            assert desk.undo(who) == expected

    @rule(who=person)
    def release(self, who: str) -> None:
        self.clerk.release(who, self.clock.time)
        for desk in self.both():
            desk.release(who)

    @rule(some=some_uids)
    def expire(self, some: list[Uid]) -> None:
        uids = [uid for uid in some if uid in self.clerk.papers]
        self.clerk.expire(uids)
        for store in self.stores[:2]:
            store.queue.move(uids, ItemState.EXPIRED, meanwhile=True)

    @rule(uid=one_uid, label=st.integers(0, 2))
    def an_oracle_answers(self, uid: Uid, label: int) -> None:
        try:
            first = self.clerk.answer(uid, label)
        except KeyError:
            first = None
        for store in self.stores[:2]:
            try:
                assert bool(store.queue.answer({uid: label})) == first
            except StoreError:
                assert first is None

    @rule(stale=st.booleans())
    def train(self, stale: bool) -> None:
        """Train on what is labelled; ``stale``: on labels that are others by now."""
        papers = {u: p for u, p in self.clerk.papers.items() if p.label is not None}
        for store in self.stores[:2]:
            store.queue.trained({u: (p.label or 0) + stale for u, p in papers.items()})
        for paper in () if stale else papers.values():
            paper.state = "trained"

    @rule()
    def the_other_process_goes_on(self) -> None:
        self.stores[1], self.stores[2] = self.stores[2], self.stores[1]

    @rule()
    def crash(self) -> None:
        """The process died; its connection is only dropped later."""
        dropped, self.stores[1] = self.stores[1], SqliteStore(self.path)
        dropped.close()

    @invariant()
    def stores_agree_with_the_clerk(self) -> None:
        papers = self.clerk.papers
        expected = [papers[uid].item(uid) for uid in sorted(papers)]
        for store in self.stores:
            assert store.queue.items() == expected

    @invariant()
    def no_annotation_is_lost_and_none_counts_twice(self) -> None:
        kept = [store.annotations.newest(10**6, None) for store in self.stores]
        assert kept[0] == kept[1] == kept[2]
        tools = [v.key for v in reversed(kept[0]) if v.key.startswith("tool")]
        assert tools == self.kept
        people = [v for v in reversed(kept[0]) if v.key and v.key not in tools]
        assert len(people) == len(self.acts)
        for stored, (act, receipt) in zip(people, self.acts, strict=True):
            who, uid, token, said, key = act
            label = said.index if isinstance(said, Label) else None
            assert (stored.annotator, stored.uid, stored.label) == (who, uid, label)
            assert (stored.token, stored.key) == (token, key)
            assert stored.number == receipt.number
        standing = [(v.uid, v.annotator) for v in kept[0] if v.undone is None]
        assert len(set(standing)) == len(standing)

    @invariant()
    def the_ledger_neither_shrinks_nor_counts_more_than_was_asked(self) -> None:
        for store in self.stores:
            now = totals(store.queue.items())
            assert all(n >= b for n, b in zip(now, self.before, strict=True))
            asked, answered, skipped, expired = now
            assert answered + skipped + expired <= asked
        self.before = totals(self.stores[0].queue.items())

    @override
    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()


def token_of(counter: "count[int]") -> Callable[[], str]:
    return lambda: f"token-{next(counter)}"


TestOffice = pytest.mark.slow(Office.TestCase)
TestOffice.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
