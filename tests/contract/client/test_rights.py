"""What both stores do with rights, and what they record: one log for the same acts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.audits import KEY, LOG_ID, checked
from tests.support.client.clock import FakeClock
from tests.support.client.memory_audit import MemoryAudit
from typing_extensions import override

from fedask.client.data.rights.sample_rights import UnrestrictedPermits
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.desk.imported_annotation import Acceptance
from fedask.client.records.annotation import SKIP, UNSURE, Annotation, Kind, Label
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.records.refusal import RightEndedError
from fedask.client.records.rights import Permits
from fedask.client.store.audit.audit_log import SqliteAudit, entries
from fedask.client.store.audit.hash_chain import AuditEntry
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import PrivacyError, ProtocolError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
A, B, C = (Uid(letter * 32) for letter in "abc")
Store = MemoryStore | SqliteStore


class Until(Permits):
    """Permits that are written down."""

    def __init__(self, ends: Mapping[Uid, datetime], digest: str = "d" * 64) -> None:
        self._ends, self._digest = ends, digest

    @property
    @override
    def digest(self) -> str:
        return self._digest

    @override
    def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
        return [self._ends.get(uid) for uid in uids]


class Office:
    def __init__(self, store: Store, clock: FakeClock, controls: float) -> None:
        self.store, self.clock = store, clock
        settings = DeskSettings(classes=7, controls=controls)
        self.desk = Desk(store.annotations, clock, settings)

    def states(self) -> dict[Uid, ItemState]:
        return {item.uid: item.state for item in self.store.queue.items()}

    def says(self, who: str, label: int = 3) -> Uid:
        (lease,) = self.desk.lease(who, 1)
        self.desk.submit(who, lease.uid, lease.token, Label(label), lease.token)
        return lease.uid

    def log(self) -> list[AuditEntry]:
        if isinstance(self.store, MemoryStore):
            assert isinstance(self.store.tables.audit, MemoryAudit)
            return self.store.tables.audit.entries
        return list(entries(self.store.connection.db))


@pytest.fixture(params=["memory", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def office(kind: str, tmp_path: Path) -> Iterator[Office]:
    made = make(kind, tmp_path)
    yield made
    made.store.close()


def make(kind: str, folder: Path, controls: float = 0.0) -> Office:
    clock = FakeClock(NOON)
    store: Store = MemoryStore(audit=MemoryAudit(KEY, clock))
    if kind == "sqlite":
        path = folder / "device.db"
        audit = SqliteAudit(path, KEY, clock, entropy=lambda count: LOG_ID[:count])
        store = SqliteStore(path, audit=audit)
    return Office(store, clock, controls)


def test_a_question_whose_right_ends_is_given_to_nobody(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR, B: NOON + 2 * HOUR}), NOON)
    office.store.queue.add(1, [A, B])
    assert len(office.desk.lease("ann", 2)) == 2

    office.clock.time = NOON + HOUR  # the end itself is over

    assert [lease.uid for lease in office.desk.lease("ann", 2)] == [B]
    assert office.states() == {A: ItemState.EXPIRED, B: ItemState.LEASED}
    assert [lease.uid for lease in office.desk.lease("bob", 2)] == []
    assert office.desk.near(B) == []


def test_a_annotation_on_what_may_not_be_used_is_refused(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)
    office.store.queue.add(1, [A])
    (lease,) = office.desk.lease("ann", 1)
    office.clock.time += 2 * HOUR

    with pytest.raises(PrivacyError, match="may not be used any more"):
        office.desk.submit("ann", A, lease.token, Label(3), "k")

    assert office.desk.history(9) == []
    assert office.log()[-1].event == "refused"


def test_what_is_on_a_screen_is_shown_until_its_right_ends(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR, B: NOON + 2 * HOUR}), NOON)
    office.store.queue.add(1, [A, B])
    leases = {lease.uid: lease.token for lease in office.desk.lease("ann", 2)}
    for uid, token in leases.items():
        office.desk.check_lease("ann", uid, token)
        office.desk.check_right(uid)

    office.clock.time += HOUR

    with pytest.raises(RightEndedError, match="may not be used any more"):
        office.desk.check_lease("ann", A, leases[A])
    with pytest.raises(RightEndedError):
        office.desk.check_right(A)
    office.desk.check_lease("ann", B, leases[B])
    office.store.rights.apply(Until({}, "e" * 64), NOON)  # withdrawn
    with pytest.raises(RightEndedError):
        office.desk.check_lease("ann", B, leases[B])


def test_a_receipt_is_given_again_after_the_right_ended(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)
    office.store.queue.add(1, [A])
    (lease,) = office.desk.lease("ann", 1)
    first = office.desk.submit("ann", A, lease.token, Label(3), "k")
    office.clock.time += 2 * HOUR

    assert office.desk.submit("ann", A, lease.token, Label(3), "k") == first


def test_an_answer_is_taken_back_but_not_shown_again(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)
    office.store.queue.add(1, [A])
    office.says("ann")
    office.clock.time += 2 * HOUR

    assert office.desk.undo("ann") == A

    assert office.states() == {A: ItemState.EXPIRED}
    assert office.desk.lease("ann", 1) == []
    (item,) = office.store.queue.items()
    assert (item.label, item.expired) == (None, 0)  # it was paid for once


@pytest.mark.parametrize("ended", [False, True])
def test_a_control_is_shown_only_while_it_may_be(
    kind: str, tmp_path: Path, ended: bool
) -> None:
    office = make(kind, tmp_path, controls=0.999_999)
    permits = Until({A: NOON + HOUR, B: NOON + 9 * HOUR, C: NOON + 9 * HOUR})
    office.store.rights.apply(permits, NOON)
    office.store.queue.add(1, [A, B, C])
    office.store.queue.answer({A: 3})
    office.clock.time += 2 * HOUR * ended

    given = [lease.uid for lease in office.desk.lease("ann", 1)]

    assert given == ([B] if ended else [A])
    office.clock.time += 2 * HOUR
    assert office.states()[A] is ItemState.LABELLED
    assert A not in [lease.uid for lease in office.desk.lease("ann", 3)]
    office.store.close()


def test_a_changed_policy_takes_questions_from_screens(office: Office) -> None:
    office.store.rights.apply(Until(dict.fromkeys([A, B, C], NOON + HOUR)), NOON)
    office.store.queue.add(1, [A, B, C])
    office.store.queue.answer({A: 3})
    office.desk.lease("ann", 1)

    gone = office.store.rights.apply(Until({C: NOON + HOUR}, "e" * 64), NOON)

    assert gone == [B]
    assert office.states() == {
        A: ItemState.LABELLED,
        B: ItemState.EXPIRED,
        C: ItemState.QUEUED,
    }
    assert [lease.uid for lease in office.desk.lease("ann", 3)] == [C]


def test_a_right_that_comes_again_lets_a_question_be_asked_again(
    office: Office,
) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)
    office.store.queue.add(1, [A])
    office.store.rights.apply(Until({}, "e" * 64), NOON)
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)

    office.store.queue.add(2, [A])

    assert office.states() == {A: ItemState.QUEUED}
    (item,) = office.store.queue.items()
    assert (item.asked, item.expired) == (2, 1)
    assert [lease.uid for lease in office.desk.lease("ann", 1)] == [A]


def test_what_has_no_right_cannot_be_queued(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)

    with pytest.raises(PrivacyError, match=f"{B} may not be asked"):
        office.store.queue.add(1, [A, B])
    with pytest.raises(PrivacyError, match=f"{B} may not be asked"):
        office.store.arrivals.add(0, {B: QueryOrigin.CHANCE}, b"p", b"")

    assert office.states() == {}
    assert (office.store.cuts.last_cycle(), office.store.arrivals.pace()) == (0, b"")


def test_without_restrictions_nothing_ends(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR}), NOON)
    office.store.queue.add(1, [A])
    office.store.rights.apply(UnrestrictedPermits(), NOON)
    office.store.queue.add(2, [B])
    office.clock.time += 10**5 * HOUR

    assert sorted(lease.uid for lease in office.desk.lease("ann", 9)) == [A, B]


def test_a_process_with_another_policy_queues_nothing(tmp_path: Path) -> None:
    one = make("sqlite", tmp_path)
    two = make("sqlite", tmp_path)
    two.store.rights.apply(Until({A: NOON + HOUR}), NOON)

    with pytest.raises(StoreError, match="open the device again"):
        one.store.queue.add(1, [A])
    one.store.rights.apply(UnrestrictedPermits(), NOON)
    with pytest.raises(StoreError, match="open the device again"):
        two.store.queue.add(1, [A])
    one.store.close()
    two.store.close()


def test_a_sample_is_as_old_as_its_first_sight(office: Office) -> None:
    start = int(NOON.timestamp())
    uids = np.array([B, A, B])
    assert office.store.rights.first_seen(uids, NOON).tolist() == [start] * 3

    later = office.store.rights.first_seen(np.array([C, A]), NOON + HOUR)
    assert later.tolist() == [start + 3600, start]
    # What was away is not new when it comes again.
    assert office.store.rights.first_seen(np.array([B]), NOON + 9 * HOUR).tolist() == [
        start
    ]


def test_a_clock_that_was_ahead_gives_no_sample_a_longer_life(office: Office) -> None:
    office.store.rights.first_seen(np.array([A]), NOON + 10**5 * HOUR)
    start = int(NOON.timestamp())

    assert office.store.rights.first_seen(np.array([A]), NOON).tolist() == [start]
    assert office.store.rights.first_seen(np.array([A]), NOON + HOUR).tolist() == [
        start
    ]


def test_an_erased_sample_is_recorded_and_comes_back_as_nothing(
    office: Office,
) -> None:
    office.store.rights.apply(Until(dict.fromkeys([A, B], NOON + HOUR)), NOON)
    office.store.queue.add(1, [A, B])
    start = int(NOON.timestamp())
    office.store.rights.first_seen(np.array([A, B]), NOON)

    office.store.erasure.forget([A, A])
    office.store.erasure.forget([A])

    said = [json.loads(e.body) for e in office.log() if e.event == "forgotten"]
    assert [body["count"] for body in said] == [1]
    assert A not in str(said)
    # Nothing is kept of when it came: it comes now, whenever that is.
    later = office.store.rights.first_seen(np.array([A, B]), NOON + HOUR).tolist()
    assert later == [start + 3600, start]
    assert office.store.queue.add(2, [A])  # barred, not refused, though it has no right
    assert set(office.states()) == {B}


def test_what_comes_from_another_tool_is_recorded_and_judged(office: Office) -> None:
    office.store.rights.apply(Until({A: NOON + HOUR, B: NOON + 3 * HOUR}), NOON)
    office.store.queue.add(1, [A, B])
    office.clock.time += 2 * HOUR

    said = [
        Annotation(
            uid=uid,
            annotator=Annotator("ann"),
            kind=Kind.GIVEN,
            label=1,
            at=None,
            key=uid,
        )
        for uid in (A, B)
    ]
    taken = office.desk.accept(said)

    assert taken == [Acceptance.BARRED, Acceptance.KEPT]
    assert office.log()[-1].event == "labelled"
    assert json.loads(office.log()[-1].body)["count"] == 1


def test_both_stores_record_the_same_log(tmp_path: Path) -> None:
    logs = [_worked(make(kind, tmp_path)) for kind in ("memory", "sqlite")]

    said = [[(e.at, e.event, json.loads(e.body)) for e in log] for log in logs]
    assert said[1][0][1] == "opened"
    assert said[0] == said[1][1:]
    assert {event for _, event, _ in said[0]} == {
        "rights changed",
        "scored",
        "queued",
        "leased",
        "labelled",
        "unsure",
        "skipped",
        "refused",
        "undone",
        "released",
        "expired",
        "trained",
    }
    assert checked(tmp_path / "device.db").ok


def _worked(office: Office) -> list[AuditEntry]:
    """Do a little of everything."""
    store, desk = office.store, office.desk
    others = [Uid(f"{n:032x}") for n in range(9)]
    store.rights.apply(Until(dict.fromkeys([A, B, C, *others], NOON + 9 * HOUR)), NOON)
    store.scores.put(
        "v", Scored(np.array([A]), np.ones(1, np.float32), np.zeros(1, int))
    )
    store.queue.add(1, [A, B, C])
    office.clock.time += HOUR
    office.says("ann")
    for said in (UNSURE, SKIP):
        (lease,) = desk.lease("bob", 1)
        desk.submit("bob", lease.uid, lease.token, said, lease.token)
    with pytest.raises(ProtocolError):
        desk.submit("eve", A, "no", Label(3), "k")
    desk.undo("bob")
    desk.release("bob")
    desk.release("bob")  # nothing more
    store.arrivals.add(1, dict.fromkeys(others[:3], QueryOrigin.SCORE), b"p", b"")
    store.queue.answer({others[0]: 2})
    store.queue.move([others[1]], ItemState.EXPIRED)
    store.queue.move([others[2]], ItemState.SKIPPED)
    store.queue.trained({others[0]: 2, A: 3})
    store.queue.add(2, [others[1], *others[3:]])
    office.clock.time += 9 * HOUR
    desk.lease("ann", 1)
    log = office.log()
    store.close()
    return log
