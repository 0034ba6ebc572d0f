"""Processes of a run: started in groups of their own, and surely gone afterwards.

Called by the runtimes that start any. Flower and Ray start processes of their own, some
of them in new sessions and some that outlive their parent, so a group is not enough: on
Linux ``/proc`` is searched for an environment variable that all of them inherit and
that names the folder of the run. So a run that goes on in the folder of a killed one
finds what that has left behind, too. Elsewhere the groups are all that is ended; the
helpers of both programs end by themselves when their parent is gone.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from fedask.common.errors import StoreError, UnavailableError

GRACE_S = 10.0  # from asking processes to stop to killing them

_MARK = "FEDASK_RUN_FOLDER"
_PROC = Path("/proc")
_POLL_INTERVAL_S = 0.1
_TAIL_BYTES = 64 * 1024
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Becomes the program, which Linux then kills when the thread that started it is gone,
# so when this process is killed: prctl(1, 9) is PR_SET_PDEATHSIG, SIGKILL. A preexec_fn
# is not safe to use while other threads are running.
_BECOME = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
_BECOME += "os.execv(sys.argv[1], sys.argv[1:])"
_WITH_PARENT = [sys.executable, "-ISc", _BECOME] if sys.platform == "linux" else []


@dataclass(slots=True)
class Fleet:
    """The processes of one run, each with a log file.

    Parameters
    ----------
    logs
        Folder of the log files; must exist.
    environment
        Of every process.
    """

    out: Path
    logs: Path
    environment: Mapping[str, str]
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], own: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own; its output goes to ``name.log``.

        Parameters
        ----------
        own
            What its environment has beyond everybody's.

        Raises
        ------
        StoreError
            If the log file cannot be written.
        UnavailableError
            If the program does not start.
        """
        environment = {**self.environment, **(own or {}), **mark(self.out)}
        program = shutil.which(command[0], path=environment.get("PATH"))
        if program is None:
            raise UnavailableError(
                f"cannot start {command[0]}: there is no such program"
            )
        with self._open(name) as log:
            try:
                process = subprocess.Popen(  # noqa: S603  (our own arguments)
                    [*_WITH_PARENT, program, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as err:
                raise UnavailableError(f"cannot start {command[0]}: {err}") from err
        self._started[name] = process
        return process

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self.path(name).open("wb")
        except OSError as err:
            raise StoreError(f"cannot write the log {self.path(name)}: {err}") from err

    def path(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def ended(self) -> str | None:
        """Return the name of a process that is no longer running, or None."""
        return next((n for n, p in self._started.items() if p.poll() is not None), None)

    def stop(self, grace_s: float = GRACE_S) -> None:
        """End every process of the run: ask, wait ``grace_s``, then kill.

        What outlives those that started it waits for them in vain and is killed.

        Raises
        ------
        UnavailableError
            If one survives even that.
        """
        started = list(self._started.values())
        for process in reversed(started):
            _signal_group(process, signal.SIGTERM)
        wait_until(lambda: all(p.poll() is not None for p in started), grace_s)
        for process in started:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        end(self.out, grace_s)


def mark(out: Path) -> dict[str, str]:
    """Return what every process of the run in a folder has in its environment."""
    return {_MARK: str(out.resolve())}


def running(out: Path) -> list[int]:
    """List the pids of other processes of the run in a folder; [] without /proc."""
    if not _PROC.is_dir():
        return []
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    setting = "=".join(*mark(out).items()).encode()
    return [pid for pid in pids if pid != os.getpid() and _has(pid, setting)]


def end(out: Path, grace_s: float = GRACE_S) -> None:
    """Kill the processes of the run in a folder until none is left.

    Raises
    ------
    UnavailableError
        If one is still there after ``grace_s``.
    """

    def gone() -> bool:
        pids = running(out)
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    if not wait_until(gone, grace_s):
        raise UnavailableError(
            f"processes {sorted(running(out))} of the run in {out} cannot be stopped"
        )


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until ``done``; returns whether it was, within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL_S)
    return True


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Let the first signal that ends the program run the ``finally`` blocks inside.

    SIGINT raises ``KeyboardInterrupt`` as ever, SIGTERM and SIGHUP ``SystemExit``; what
    comes later is ignored, since what runs then is the cleaning up. A signal that was
    ignored before stays so. Python gives signals to the main thread alone; elsewhere
    this does nothing.

    Yields
    ------
    Callable
        Takes the signals again, after a library has taken them for itself; leaves if
        one was heard before, and the library went on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {n: h for n, h in handlers.items() if h not in {signal.SIG_IGN, None}}

    heard: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (a handler's signature)
        heard.append(number)
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def take() -> None:
        if heard:
            leave(heard[0], None)
        for number in before:
            signal.signal(number, leave)

    take()
    try:
        yield take
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a log file; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group may outlive its leader, which is therefore not asked first.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _has(pid: int, setting: bytes) -> bool:
    """Tell whether a process is alive and has the setting in its environment."""
    folder = _PROC / str(pid)
    try:
        if setting not in (folder / "environ").read_bytes().split(b"\0"):
            return False
        # The state follows the name, which is in parentheses and may hold anything.
        stat = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return False  # it has just ended, or is somebody else's
    return stat.split()[0] not in {"Z", "X"}
