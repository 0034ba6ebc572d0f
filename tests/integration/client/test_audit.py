import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.client.audits import checked, opened, rows

from fedask.client.records.audit_event import Event
from fedask.common.errors import StoreError

# Queues one sample after the other; says so after each.
WRITER = """
import sys
from pathlib import Path
from fedask.client.records.audit_event import Event
from fedask.client.store.audit.audit_log import SqliteAudit
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import SystemClock
path = Path(sys.argv[1])
store = SqliteStore(
    path, audit=SqliteAudit(path, bytes(range(32)), SystemClock()))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    uid = f"{sys.argv[3]}{number:031x}"
    store.record(Event.EXPORTED, [uid], at=None, bytes=number)
    print(number, flush=True)
"""
# Dies between its second commit and the head.
DYING = """
import os, signal, sys
from pathlib import Path
import fedask.client.store.audit.audit_log as log
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import SystemClock
path = Path(sys.argv[1])
store = SqliteStore(
    path, audit=log.SqliteAudit(path, bytes(range(32)), SystemClock()))
store.queue.add(1, ["a" * 32])
log.write_head = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
store.queue.add(2, ["b" * 32])
"""
KILLS = 6


def child(program: str, *args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.Popen(  # noqa: S603  (our own text)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_an_entry_newer_than_the_head_is_no_tampering(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    with child(DYING, path) as process:
        assert process.wait(30) == -signal.SIGKILL

    found = checked(path)

    assert (found.ok, found.entries, found.newer) == (True, 3, 1)
    with opened(path) as store:  # goes on, and the head is the log's again
        assert len(store.queue.items()) == 2
    found = checked(path)
    assert (found.ok, found.entries, found.newer) == (True, 4, 0)


def test_a_head_newer_than_the_log_is_tampering(tmp_path: Path) -> None:
    path, old = tmp_path / "device.db", tmp_path / "old.db"
    with opened(path):
        pass
    old.write_bytes(path.read_bytes())
    with opened(path) as store:
        store.record(Event.EXPORTED, at=None)
    for each in tmp_path.glob("device.db-*"):
        each.unlink()
    old.rename(path)  # the file of before, with the head of now

    found = checked(path)

    assert (found.ok, found.bad) == (False, 2)
    with pytest.raises(StoreError, match="older copy"), opened(path):
        pass


def test_a_log_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    told, rng = 0, random.Random(7)
    for kill in range(KILLS):
        with child(WRITER, path, 10_000, f"{kill:x}") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            begin(process)
            for _ in range(rng.randrange(1, 30)):
                process.stdout.readline()
                told += 1
            process.kill()
            told += len([each for each in process.stdout if each.endswith("\n")])
        found = checked(path)
        assert found.ok, found
        assert found.newer <= 1
        exported = sum(row[2] == "exported" for row in rows(path))
        assert told <= exported <= told + kill + 1  # one more per kill, not yet told


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    count = 40
    children = [child(WRITER, path, count, each) for each in "ab"]
    for each in children:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in children:
        begin(each)
    for each in children:
        each.communicate(timeout=30)
        assert each.returncode == 0

    found = checked(path)
    assert (found.ok, found.entries) == (True, 2 + 2 * count)
    assert found.newer <= 1
