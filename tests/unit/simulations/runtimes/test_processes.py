import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fedask.common.errors import StoreError, UnavailableError
from fedask.simulations.runtimes import processes
from fedask.simulations.runtimes.processes import (
    Fleet,
    end,
    interruptible,
    running,
    tail,
    wait_until,
)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, prctl")

START_TIMEOUT_S = 30.0
WAIT = "import signal; print('ready', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT
# Starts a child in a session of its own, as Flower's programs do, and ends.
ESCAPE = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {WAIT!r}], start_new_session=True)
print('ready', flush=True)
"""
# Starts a process in the folder it is given, and waits to be killed.
OWNER = f"""
import os, sys
from pathlib import Path
from fedask.simulations.runtimes.processes import Fleet
folder = Path(sys.argv[1])
Fleet(folder, folder, os.environ).start("one", [sys.executable, "-c", {WAIT!r}])
{WAIT}
"""


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    end(tmp_path)


def fleet_in(folder: Path) -> Fleet:
    return Fleet(folder, folder, os.environ)


def start(fleet: Fleet, name: str, program: str) -> None:
    fleet.start(name, [sys.executable, "-c", program])
    assert wait_until(lambda: "ready" in tail(fleet.path(name), 1), START_TIMEOUT_S)


@pytest.mark.parametrize("program", [WAIT, DEAF], ids=["willing", "deaf"])
def test_stopped_process_is_gone(program: str, tmp_path: Path) -> None:
    fleet = fleet_in(tmp_path)
    start(fleet, "one", program)
    fleet.stop(grace_s=0.5)
    assert fleet.ended() == "one"
    assert running(tmp_path) == []


@on_linux
def test_child_in_another_session_is_found_and_stopped(tmp_path: Path) -> None:
    fleet = fleet_in(tmp_path)
    start(fleet, "parent", ESCAPE)
    assert wait_until(lambda: fleet.ended() == "parent", START_TIMEOUT_S)
    assert len(running(tmp_path)) == 1
    fleet.stop(grace_s=0.2)
    assert running(tmp_path) == []


@on_linux
def test_processes_of_another_folder_are_not_ours(tmp_path: Path) -> None:
    mine = fleet_in(tmp_path)
    start(mine, "one", WAIT)
    assert len(running(tmp_path)) == 1
    assert running(tmp_path / "one") == []
    assert running(tmp_path.parent) == []
    end(tmp_path.parent)
    assert mine.ended() is None
    mine.stop(grace_s=0.5)


@on_linux
def test_process_dies_with_the_one_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(  # noqa: S603  (our own program)
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path()}
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        log = tmp_path / "one.log"
        assert wait_until(lambda: "ready" in tail(log, 1), START_TIMEOUT_S)
        assert len(running(tmp_path)) == 1
        owner.kill()
    assert wait_until(lambda: running(tmp_path) == [], START_TIMEOUT_S)


def path() -> str:
    return os.pathsep.join(filter(None, sys.path))


def test_own_variables_go_beyond_those_of_everybody(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, tmp_path, {**os.environ, "ALL": "1", "SOME": "2"})
    show = "import os; print(os.environ['ALL'], os.environ['SOME'])"
    fleet.start("one", [sys.executable, "-c", show], {"SOME": "3"})
    assert wait_until(lambda: fleet.ended() == "one", START_TIMEOUT_S)
    assert tail(fleet.path("one"), 1) == "1 3"


def test_ended_process_is_named_and_its_log_kept(tmp_path: Path) -> None:
    fleet = fleet_in(tmp_path)
    fleet.start("short", [sys.executable, "-c", "print('out'); raise SystemExit(3)"])
    assert wait_until(lambda: fleet.ended() == "short", START_TIMEOUT_S)
    assert tail(fleet.path("short"), 5) == "out"
    fleet.stop()


def test_missing_program_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no-such-program"):
        fleet_in(tmp_path).start("x", ["no-such-program"])
    with pytest.raises(StoreError, match="cannot write the log"):
        fleet_in(tmp_path / "missing").start("x", [sys.executable])


def test_what_cannot_be_stopped_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_reach = 2**22 + 1  # above any pid of this machine
    with monkeypatch.context() as patch:
        patch.setattr(processes, "running", lambda _: [out_of_reach])
        with pytest.raises(UnavailableError, match=str(out_of_reach)):
            end(tmp_path, 0.0)


def test_tail_gives_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 2) == ""
    log.write_bytes(b"x" * 70_000 + b"\none\n\n \ntwo\xff\n")
    assert tail(log, 2) == "one\ntwo\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
    ],
)
@pytest.mark.usefixtures("terminal_signals")
def test_signal_leaves_by_an_exception_and_the_handler_is_restored(
    number: int, kind: type[BaseException]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(kind) as left, interruptible():
        signal.raise_signal(number)
    if isinstance(left.value, SystemExit):
        assert left.value.code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("terminal_signals")
def test_cleaning_up_is_not_interrupted_again() -> None:
    cleaned = False
    with suppress(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
            cleaned = True
    assert cleaned


@pytest.mark.usefixtures("terminal_signals")
def test_a_signal_that_a_library_swallows_still_ends_the_program() -> None:
    with interruptible() as take:
        with suppress(SystemExit):  # as a callback does, whose exceptions are ignored
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit) as left:
            take()
    assert left.value.code == 128 + signal.SIGTERM


@pytest.mark.usefixtures("terminal_signals")
def test_signals_that_a_library_took_are_taken_back() -> None:
    heard: list[int] = []
    with interruptible() as take:
        signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        take()
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as take:
            take()
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_keep_their_hands_off_signals() -> None:
    handlers: list[object] = []

    def enter() -> None:
        with interruptible() as take:
            take()
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [before]
