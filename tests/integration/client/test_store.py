import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.client.clock import FakeClock

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.label_queue import ItemState
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UIDS = [Uid(f"{i:032x}") for i in range(400)]
KILLS = 8  # `python -m tests.benchmarks crash` does it at system calls, and more often
SEED = 11

# Both wait for a line, so that the parent decides when the work begins.
LEASER = """
import sys
from pathlib import Path
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import SystemClock
store = SqliteStore(Path(sys.argv[1]))
desk = Desk(store.annotations, SystemClock(), DeskSettings(classes=7))
print("ready", flush=True)
for number, _ in enumerate(sys.stdin):
    leased = desk.lease(f"{sys.argv[2]}-{number}", 10)
    print(*[item.uid for item in leased], flush=True)
"""
ANSWERER = """
import sys
from pathlib import Path
from fedask.client.records.label_queue import ItemState
from fedask.client.store.sqlite.store import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
open_questions = [i.uid for i in store.queue.items() if i.state is ItemState.QUEUED]
print("ready", flush=True)
sys.stdin.readline()
for uid in open_questions:
    if store.queue.answer({uid: int(uid, 16) % 7}):
        print(uid, flush=True)
"""

# Leases and answers until nothing is left; prints what it was given a receipt for.
LABELLER = """
import sys
from pathlib import Path
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.records.annotation import Label
from fedask.common.clock import SystemClock
store = SqliteStore(Path(sys.argv[1]))
desk = Desk(store.annotations, SystemClock(), DeskSettings(classes=7))
who = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
while leases := desk.lease(who, 5):
    for lease in leases:
        label = Label(int(lease.uid, 16) % 7)
        desk.submit(who, lease.uid, lease.token, label, lease.token)
        print(lease.uid, flush=True)
"""


@contextmanager
def child(program: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *args]
    with subprocess.Popen(  # noqa: S603  (our own text)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "device.db"
    store = SqliteStore(path)
    store.queue.add(1, UIDS)
    store.close()
    return path


def test_two_processes_never_lease_the_same_sample(path: Path) -> None:
    with (
        child(LEASER, str(path), "one") as one,
        child(LEASER, str(path), "two") as two,
    ):
        both = one, two
        assert [line_of(process) for process in both] == ["ready", "ready"]
        leased: list[str] = []
        for _ in range(len(UIDS) // 20):
            for process in both:
                begin(process)  # at the same moment, as far as a parent can tell
            shares = [line_of(process).split() for process in both]
            assert [len(share) for share in shares] == [10, 10]
            leased += shares[0] + shares[1]

    assert sorted(leased) == UIDS


def test_four_processes_label_every_sample_once(tmp_path: Path) -> None:
    path, uids = tmp_path / "device.db", [Uid(f"{i:032x}") for i in range(500)]
    store = SqliteStore(path)
    store.queue.add(1, uids)
    with ExitStack() as running:
        people = {
            name: running.enter_context(child(LABELLER, str(path), name))
            for name in ("ann", "bob", "cyd", "dan")
        }
        assert [line_of(each) for each in people.values()] == ["ready"] * 4
        for process in people.values():
            begin(process)
        shares = {name: each.communicate()[0].split() for name, each in people.items()}

    assert sorted(uid for share in shares.values() for uid in share) == uids
    items, annotations = store.queue.items(), store.annotations.newest(10**6, None)
    store.close()
    assert [(i.state, i.label) for i in items] == [
        (ItemState.LABELLED, int(uid, 16) % 7) for uid in uids
    ]
    for name, share in shares.items():
        assert [v.uid for v in reversed(annotations) if v.annotator == name] == share
    assert len(annotations) == len(uids)


def test_threads_with_their_own_connections_never_lease_the_same_sample(
    path: Path,
) -> None:
    start = threading.Barrier(4)
    shares: dict[str, list[Uid]] = {name: [] for name in ("ann", "bob", "cyd", "dan")}

    def work(name: str) -> None:
        store = SqliteStore(path)
        desk = Desk(store.annotations, FakeClock(NOON), DeskSettings(classes=7))
        start.wait()
        while len(leased := desk.lease(name, len(shares[name]) + 7)) > len(
            shares[name]
        ):
            shares[name] = [lease.uid for lease in leased]
        store.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(uid for share in shares.values() for uid in share) == UIDS


def test_many_threads_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(5):
        start = threading.Barrier(8)
        failures: list[BaseException] = []
        added: list[bool] = []
        args = (tmp_path / f"{number}.db", start, added, failures)
        threads = [threading.Thread(target=open_new, args=args) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert sorted(added) == [False] * 7 + [True]  # one of them was first


def open_new(
    path: Path,
    start: threading.Barrier,
    added: list[bool],
    failures: list[BaseException],
) -> None:
    start.wait()
    try:
        store = SqliteStore(path)
        added.append(store.queue.add(1, UIDS[:5]))
        store.close()
    except BaseException as err:  # noqa: BLE001  (for the test to see)
        failures.append(err)


def test_no_acknowledged_answer_is_lost_by_kill_9(path: Path) -> None:
    moments = random.Random(SEED)
    acknowledged: set[str] = set()
    for _ in range(KILLS):
        with child(ANSWERER, str(path)) as process:
            assert line_of(process) == "ready"
            begin(process)
            for _ in range(moments.randrange(1, 15)):
                acknowledged.add(line_of(process))
            for _ in range(moments.randrange(50_000)):
                pass  # somewhere within the next transaction
            process.kill()
            assert process.stdout is not None
            # Whatever it had printed before it died; a half-written line is no
            # acknowledgement.
            rest = process.stdout.read().split("\n")[:-1]
            acknowledged.update(rest)

        store = SqliteStore(path)
        items = store.queue.items()
        store.close()
        kept = {item.uid: item.label for item in items if item.label is not None}
        assert acknowledged <= set(kept)
        assert all(label == int(uid, 16) % 7 for uid, label in kept.items())
        # A kill between the commit and the print may leave one answer more.
        assert len(kept) <= len(acknowledged) + KILLS
        assert {item.state for item in items} == {ItemState.QUEUED, ItemState.LABELLED}
        assert [item.uid for item in items] == UIDS
