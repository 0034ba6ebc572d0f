"""Processes of a run: started in groups of their own, and surely gone afterwards.

Called by the runtimes that start any. Flower and Ray start processes of their own, some
of them in new sessions, so a group is not enough: on Linux ``/proc`` is searched for
what is left, by an environment variable or by descent. Elsewhere the groups are all
that is killed; both programs' own helpers end when their parent is gone.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from fedask.common.errors import StoreError, UnavailableError

_PROC = Path("/proc")
_POLL_INTERVAL_S = 0.1
_TAIL_BYTES = 64 * 1024


@dataclass(slots=True)
class Fleet:
    """The processes of one run, each with a log file.

    Parameters
    ----------
    logs
        Folder of the log files; must exist.
    environment
        Of every process.
    mark
        Name of a variable in ``environment`` whose value no other process has; what
        inherits it belongs to this run.
    """

    logs: Path
    environment: Mapping[str, str]
    mark: str
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own; its output goes to ``name.log``.

        Raises
        ------
        StoreError
            If the log file cannot be written.
        UnavailableError
            If the program does not start.
        """
        with self._open(name) as log:
            try:
                process = subprocess.Popen(  # noqa: S603  (our own arguments)
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(self.environment),
                    start_new_session=True,
                )
            except OSError as err:
                msg = f"cannot start {command[0]}: {err}"
                raise UnavailableError(msg) from err
        self._started[name] = process
        return process

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self.path(name).open("wb")
        except OSError as err:
            msg = f"cannot write the log {self.path(name)}: {err}"
            raise StoreError(msg) from err

    def path(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def ended(self) -> str | None:
        """Return the name of a process that is no longer running, or None."""
        return next((n for n, p in self._started.items() if p.poll() is not None), None)

    def stop(self, grace_s: float = 10.0) -> None:
        """End every process of the run: ask, wait ``grace_s``, then kill.

        Raises
        ------
        UnavailableError
            If one survives even that.
        """
        started = list(self._started.values())
        for process in reversed(started):
            _signal_group(process, signal.SIGTERM)
        wait_until(
            lambda: all(p.poll() is not None for p in started) and not self.left(),
            grace_s,
        )
        for process in started:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        end(self.left, grace_s)

    def left(self) -> list[int]:
        """List the pids of processes with the mark; [] where there is no /proc."""
        mark = f"{self.mark}={self.environment[self.mark]}".encode()
        return [pid for pid in _pids() if mark in _environ(pid) and _alive(pid)]


def end(left: Callable[[], Iterable[int]], grace_s: float) -> None:
    """Kill what ``left`` names until it names nothing.

    Raises
    ------
    UnavailableError
        If something is still there after ``grace_s``.
    """

    def gone() -> bool:
        pids = list(left())
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    if not wait_until(gone, grace_s):
        msg = f"processes {sorted(left())} of this run could not be stopped"
        raise UnavailableError(msg)


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until ``done``; returns whether it was, within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL_S)
    return True


def descendants(root: int) -> list[tuple[int, int]]:
    """List (pid, start time in ticks) of all processes below ``root``."""
    family = {root}
    found = []
    # Parents before children, even where process numbers have wrapped around.
    rows = sorted((_stat(pid) for pid in _pids()), key=lambda row: row[2])
    for pid, parent, started, _ in rows:
        if parent in family:
            family.add(pid)
            found.append((pid, started))
    return found


def surviving(processes: Iterable[tuple[int, int]]) -> list[int]:
    """List the pids of those (pid, start time) that are still running."""
    return [pid for pid, at in processes if _stat(pid)[2] == at and _alive(pid)]


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit`` inside, so that ``finally`` blocks run.

    Python gives signals to the main thread alone; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        # Once is enough: what runs now is the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def _pids() -> list[int]:
    if not _PROC.is_dir():
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]


def _environ(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _alive(pid: int) -> bool:
    return _stat(pid)[3] not in {"", "Z", "X"}


def _stat(pid: int) -> tuple[int, int, int, str]:
    """Return (pid, parent, start time in ticks, state); state "" if it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return pid, 0, 0, ""
    # The name, in parentheses, may hold anything; the numbers come after it.
    fields = text.rpartition(")")[2].split()
    return pid, int(fields[1]), int(fields[19]), fields[0]
