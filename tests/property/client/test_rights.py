"""No policies, provenance and time let a sample without a right be used."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from numpy.typing import NDArray
from tests.support.client.clock import FakeClock
from tests.support.client.world import (
    LABELS,
    NAME,
    SAMPLES,
    SCENARIO,
    TASK,
    Script,
    first_cut,
    model,
    run_round,
    whole_cut,
)
from typing_extensions import override

from fedask.client.data.rights.rights_policy import ASK, Right, RightsPolicy
from fedask.client.data.rights.sample_rights import PermittedSource, SampleRights
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.learning.training.learner import Learner
from fedask.client.records.annotation import Label
from fedask.client.records.label_queue import ItemState
from fedask.client.records.pool import DataSource, Pool
from fedask.client.round.device import Device
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.arrays import model_version
from fedask.common.errors import PrivacyError
from fedask.common.ids import Uid
from fedask.common.records import Ask

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
COUNT = 14
EVERYTHING = {"score", "show", "train"}
RAW = SAMPLES[:COUNT]
UIDS = [Uid(uid) for uid in ArraySource(RAW).uids().tolist()]
LEARNER = Learner(TASK, SCENARIO.train)
MODEL = model()
VERSION = model_version(MODEL)


@dataclass(frozen=True)
class Said:
    """What a site says of a sample; ``until`` in days since the start, "": unknown."""

    consent: str
    licence: str
    until: int | str | None

    def is_past(self, now: datetime) -> bool:
        return isinstance(self.until, int) and now >= START + (self.until + 1) * DAY


@dataclass(frozen=True)
class Law:
    """A policy: (consent pattern or None, licence pattern or None, rights) per rule."""

    rules: tuple[tuple[str | None, str | None, tuple[str, ...]], ...]
    days: int | None

    def toml(self) -> bytes:
        lines = []
        for consent, licence, may in self.rules:
            when = [f"consent = '{consent}'"] if consent else []
            when += [f"licence = '{licence}'"] if licence else []
            lines += ["[[rule]]", f"when = {{{', '.join(when)}}}"]
            lines += [f"may = {list(may)}".replace("'", '"')]
        lines += [] if self.days is None else ["[retention]", f"days = {self.days}"]
        return "\n".join(lines).encode()

    def allows(self, said: Said, seen: datetime, now: datetime) -> set[str]:
        """Say slowly and obviously what may be done."""
        if said.until == "" or said.is_past(now):
            return set()
        if self.days is not None and now >= seen + self.days * DAY:
            return set()
        for consent, licence, may in self.rules:
            if _fits(consent, said.consent) and _fits(licence, said.licence):
                return set(may)
        return set()


def _fits(pattern: str | None, text: str) -> bool:
    if pattern is None:
        return True
    if pattern.endswith("*"):
        return bool(text) and text.lower().startswith(pattern[:-1])
    return text.lower() == pattern


says = st.builds(
    Said,
    consent=st.sampled_from(["yes", "YES", "no", ""]),
    licence=st.sampled_from(["cc-by-4.0", "CC0", ""]),
    until=st.sampled_from([None, 0, 3, 3, 30, ""]),
)
some_rights = st.sampled_from(
    [("score", "show", "train")] * 4
    + [("train",), ("score", "show"), ("show",), ("score", "train"), ()]
)
rule_of = st.tuples(
    st.sampled_from([None, "yes", "no", "*"]),
    st.sampled_from([None, "cc*", "cc0", "*"]),
    some_rights,
)
laws = st.builds(
    Law,
    rules=st.one_of(  # much is allowed, so that there is something to be lost
        st.lists(rule_of, max_size=3).map(tuple),
        st.just(((None, None, ("score", "show", "train")),)),
    ),
    days=st.sampled_from([None, 2, 20]),
)


class Told(ArraySource):
    """Samples that bring what is said of them."""

    def __init__(self, said: list[Said], rows: NDArray[np.int64]) -> None:
        super().__init__(RAW, rows)
        self._said = [said[row] for row in rows.tolist()]

    def described(self) -> dict[str, NDArray[np.str_]]:
        ends = [
            (START + each.until * DAY).date().isoformat()
            if isinstance(each.until, int)
            else {None: "never"}.get(each.until, "")
            for each in self._said
        ]
        return {
            "consent": np.array([each.consent for each in self._said]),
            "licence": np.array([each.licence for each in self._said]),
            "until": np.array(ends),
        }


class Watched(DataSource):
    """Notes what is loaded."""

    def __init__(
        self, inner: PermittedSource, note: Callable[[list[str]], None]
    ) -> None:
        self._inner, self._note = inner, note

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._inner.uids()

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._note(self._inner.uids()[rows].tolist())
        return self._inner.load(rows)


class Site(RuleBasedStateMachine):
    """One device, its site, and people; beside them what each of them may do."""

    @initialize(
        said=st.lists(says, min_size=COUNT, max_size=COUNT),
        law=laws,
        on_disk=st.booleans(),
    )
    def open(self, said: list[Said], law: Law, *, on_disk: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "device.db"
        self.store = SqliteStore(path) if on_disk else MemoryStore()
        self.clock = FakeClock(START)
        self.said, self.law = list(said), law
        settings_ = DeskSettings(classes=3, controls=0.5)
        self.desk = Desk(self.store.annotations, self.clock, settings_)
        self.numbers = count(1)
        self.people = Script(LABELS)
        self.seen: dict[Uid, datetime] = {}
        self.judged: tuple[Law, list[Said], frozenset[Uid]] | None = None
        self.cycle = 0
        self.round("first", set(), willing=False)

    @override
    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def may(self, uid: Uid) -> set[str]:
        """Return what may be done by what the device was opened with."""
        if self.judged is None or uid not in self.judged[2]:
            return set()
        law, said, _ = self.judged
        seen = self.seen.get(uid, START)  # known wherever a law asks for it
        return law.allows(said[UIDS.index(uid)], seen, self.clock.now())

    def opened(self, rows: NDArray[np.int64]) -> Device:
        """Open the device as a deployment does, and watch what it loads."""
        now = self.clock.now()
        present = frozenset(UIDS[row] for row in rows.tolist())
        if self.law.days is not None:
            for uid in present:
                self.seen.setdefault(uid, now)
        self.judged = (self.law, list(self.said), present)
        policy = RightsPolicy.parse(self.law.toml())
        rights = SampleRights(Told(self.said, rows), policy, self.store.rights, now)
        self.store.rights.apply(rights, now)

        def check(need: set[str]) -> Callable[[list[str]], None]:
            def note(uids: list[str]) -> None:
                assert all(need <= self.may(Uid(uid)) for uid in uids)

            return note

        return Device(
            device_id=NAME,
            pool=Pool(Watched(rights.may(ASK), check(EVERYTHING))),
            training_pool=Pool(Watched(rights.may(Right.TRAIN), check({"train"}))),
            store=self.store,
            oracle=self.people,
        )

    @rule(sample=st.integers(0, COUNT - 1), said=says)
    def say(self, sample: int, said: Said) -> None:
        self.said[sample] = said

    @rule(law=laws)
    def make_law(self, law: Law) -> None:
        self.law = law

    @rule(days=st.sampled_from([0, 1, 2, 5, 40]))
    def wait(self, days: int) -> None:
        self.clock.time += days * DAY

    @rule(
        kind=st.sampled_from(["first", "score", "cut", "cut", "train"]),
        willing=st.sampled_from([True, False, False]),
        gone=st.sets(st.integers(0, COUNT - 1), max_size=2),
    )
    def round(self, kind: str, gone: set[int], *, willing: bool) -> None:
        device = self.opened(np.array([n for n in range(COUNT) if n not in gone]))
        self.people.willing = willing
        before = self.trained()
        self.cycle += 1
        cuts = {
            "first": first_cut(self.cycle, take=5),
            "cut": whole_cut(self.cycle, VERSION),
        }
        score = VERSION if kind == "score" else ""
        ask = Ask(cycle=self.cycle, step=0, cut=cuts.get(kind), score=score)
        run_round(device, SCENARIO, LEARNER, ask, MODEL)
        assert all("train" in self.may(uid) for uid in self.trained() - before)
        for item in self.store.queue.items():
            waits = item.state in {ItemState.QUEUED, ItemState.LEASED}
            assert not waits or self.may(item.uid) >= EVERYTHING

    def trained(self) -> set[Uid]:
        return {i.uid for i in self.store.queue.items() if i.state is ItemState.TRAINED}

    @rule(
        who=st.sampled_from(["ann", "bob"]),
        most=st.integers(1, 4),
        later=st.sampled_from([0, 4, 40]),
    )
    def lease(self, who: str, most: int, later: int) -> None:
        self.clock.time += later * DAY
        for lease in self.desk.lease(who, most):
            assert self.may(lease.uid) >= EVERYTHING

    @rule(who=st.sampled_from(["ann", "bob"]), late=st.sampled_from([0, 0, 4]))
    def answer(self, who: str, late: int) -> None:
        leases = self.desk.lease(who, 1)
        self.clock.time += late * DAY
        for lease in leases[:1]:
            key, label = str(next(self.numbers)), Label(LABELS[lease.uid])
            try:
                self.desk.submit(who, lease.uid, lease.token, label, key)
            except PrivacyError:
                assert not self.may(lease.uid) >= EVERYTHING
            else:
                assert self.may(lease.uid) >= EVERYTHING

    @rule(who=st.sampled_from(["ann", "bob"]))
    def undo(self, who: str) -> None:
        self.desk.undo(who)
        for item in self.store.queue.items():
            if item.state is ItemState.LEASED:
                assert self.may(item.uid) >= EVERYTHING


TestSite = Site.TestCase
TestSite.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@settings(max_examples=100, deadline=None)
@given(
    said=st.lists(says, min_size=1, max_size=COUNT), law=laws, days=st.integers(0, 50)
)
def test_rights_are_those_of_the_obvious_reference(
    said: list[Said], law: Law, days: int
) -> None:
    store, now = MemoryStore(), START + days * DAY
    source = Told(said, np.arange(len(said)))
    store.rights.first_seen(source.uids(), START)
    policy = RightsPolicy.parse(law.toml())

    rights = SampleRights(source, policy, store.rights, now)

    may = [law.allows(each, START, now) for each in said]
    for right in (Right.SCORE, Right.SHOW, Right.TRAIN):
        assert right.name is not None
        named = [u for u, m in zip(UIDS, may, strict=False) if right.name.lower() in m]
        assert rights.may(right).uids().tolist() == named
    ends = rights.until(UIDS)
    for uid, each, end in zip(UIDS, may, ends, strict=False):
        assert (end is not None) == (len(each) == 3)
        if end is not None:
            row = UIDS.index(uid)
            last = end - timedelta(seconds=1)
            assert law.allows(said[row], START, last) == each
            if end.year < 9999:
                assert law.allows(said[row], START, end) == set()
    assert set(rights.expired(now)) == {
        uid
        for uid, each in zip(UIDS, said, strict=False)
        if each.is_past(now) or (law.days is not None and now >= START + law.days * DAY)
    }
