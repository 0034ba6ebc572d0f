import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from typing_extensions import override

from fedask.client.records.device_store import DeviceStore
from fedask.client.records.label_queue import MOVES, Item, ItemState, QueryOrigin
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid

UIDS = [Uid(letter * 32) for letter in "abcdef"]
ANSWERED = {ItemState.LABELLED, ItemState.TRAINED}
PLAIN = {  # what ``move`` may do
    (ItemState.LABELLED, ItemState.TRAINED),
    (ItemState.QUEUED, ItemState.SKIPPED),
    (ItemState.QUEUED, ItemState.EXPIRED),
}

some_uids = st.lists(st.sampled_from(UIDS), max_size=4)
one_uid = st.sampled_from(UIDS)


class Queue(RuleBasedStateMachine):
    """Runs the same calls on both stores and on a plain dict.

    Two connections share the SQLite file, as two processes of a device do; only one of
    them acts at a time, both must see the same.
    """

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "device.db"
        self.memory: DeviceStore = MemoryStore()
        self.sqlite: DeviceStore = SqliteStore(self.path)
        self.other: DeviceStore = SqliteStore(self.path)
        self.model: dict[Uid, Item] = {}
        self.last_cycle = 0
        self.first_answers: dict[Uid, int] = {}
        self.version: str | None = None
        self.pace = b""

    def both(self) -> tuple[DeviceStore, DeviceStore]:
        return self.memory, self.sqlite

    @rule(step=st.integers(-1, 2), uids=some_uids)
    def add(self, step: int, uids: list[Uid]) -> None:
        cycle = max(1, self.last_cycle + step)
        fresh = cycle > self.last_cycle
        for store in self.both():
            assert store.queue.add(cycle, uids) == fresh
        if not fresh:
            return
        self.last_cycle = cycle
        for uid in uids:
            known = self.model.get(uid)
            if known is None:
                self.model[uid] = Item(uid=uid, state=ItemState.QUEUED, cycle=cycle)
            elif known.state is ItemState.EXPIRED:
                self.model[uid] = replace(
                    known,
                    state=ItemState.QUEUED,
                    cycle=cycle,
                    asked=known.asked + 1,
                    origin=QueryOrigin.CUT,
                )

    @rule(uids=some_uids, origin=st.sampled_from(QueryOrigin), stale=st.booleans())
    def arrive(self, uids: list[Uid], origin: QueryOrigin, stale: bool) -> None:
        asked = dict.fromkeys(uids, origin)
        after = self.pace + b"."
        fresh = asked.keys() - self.model.keys()
        for store in self.both():
            try:
                before = after if stale else self.pace
                assert store.arrivals.add(9, asked, after, before) == fresh
                assert not stale
            except StoreError:
                assert stale
        if not stale:
            self.pace = after
            for uid in fresh:
                self.model[uid] = Item(
                    uid=uid, state=ItemState.QUEUED, cycle=9, origin=origin
                )

    @rule(uid=one_uid, label=st.integers(0, 9))
    def answer(self, uid: Uid, label: int) -> None:
        item = self.model.get(uid)
        first = item is not None and item.label is None
        legal = item is not None and ItemState.LABELLED in MOVES[item.state]
        for store in self.both():
            try:
                assert bool(store.queue.answer({uid: label})) == first
                assert legal or not first
            except StoreError:
                assert item is None or (first and not legal)
        if item is not None and first and legal:
            self.first_answers[uid] = label
            self.model[uid] = replace(
                item,
                state=ItemState.LABELLED,
                label=label,
                outcome=ItemState.LABELLED,
            )

    @rule(uids=some_uids, to=st.sampled_from(ItemState))
    def move(self, uids: list[Uid], to: ItemState) -> None:
        legal = all(
            uid in self.model
            and (self.model[uid].state is to or (self.model[uid].state, to) in PLAIN)
            for uid in uids
        )
        for store in self.both():
            try:
                store.queue.move(uids, to)
                assert legal
            except StoreError:
                assert not legal
        for uid in set(uids) if legal else ():
            item = self.model[uid]
            if item.state is not to:
                self.model[uid] = replace(
                    item,
                    state=to,
                    expired=item.expired + (to is ItemState.EXPIRED),
                    outcome=to if to is ItemState.SKIPPED else item.outcome,
                )

    @rule(version=st.sampled_from(["00aa", "00bb"]), size=st.integers(0, 3))
    def put_scores(self, version: str, size: int) -> None:
        scored = Scored(
            np.array(UIDS[:size], dtype=np.str_),
            np.full(size, 0.1, dtype=np.float32),
            np.arange(size),
        )
        self.version = version
        for store in self.both():
            store.scores.put(version, scored)

    @rule()
    def the_other_process_goes_on(self) -> None:
        self.sqlite, self.other = self.other, self.sqlite

    @rule()
    def reopen(self) -> None:
        self.sqlite.close()
        self.sqlite = SqliteStore(self.path)

    @precondition(lambda self: self.model)
    @rule()
    def reopen_without_closing(self) -> None:
        """The process died; its connection is only dropped later."""
        dropped, self.sqlite = self.sqlite, SqliteStore(self.path)
        dropped.close()

    @invariant()
    def stores_agree_with_the_model(self) -> None:
        expected = [self.model[uid] for uid in sorted(self.model)]
        for store in (*self.both(), self.other):
            assert store.queue.items() == expected
            assert store.cuts.last_cycle() == self.last_cycle
            assert store.arrivals.pace() == self.pace
            kept = store.scores.last()
            assert (None if kept is None else kept[0]) == self.version
        one, two = self.memory.scores.last(), self.sqlite.scores.last()
        if one is not None and two is not None:
            for name in ("uids", "scores", "groups"):
                assert np.array_equal(getattr(one[1], name), getattr(two[1], name))

    @invariant()
    def labels_are_neither_lost_nor_counted_twice(self) -> None:
        for store in (*self.both(), self.other):
            items = store.queue.items()
            labels = {i.uid: i.label for i in items if i.state in ANSWERED}
            assert labels == self.first_answers
            for item in items:
                assert (item.label is not None) == (item.state in ANSWERED)
                assert (item.leased_until is not None) == (
                    item.state is ItemState.LEASED
                )
                # Each time it was asked ended in an expiry, but for the last.
                assert item.asked - item.expired == (
                    item.state is not ItemState.EXPIRED
                )

    @override
    def teardown(self) -> None:
        self.sqlite.close()
        self.other.close()
        self.folder.cleanup()


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
