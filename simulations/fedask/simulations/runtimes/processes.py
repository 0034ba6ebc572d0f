"""Processes that end with the run that started them. Called by the superlink runtime.

Flower's commands start processes of their own, some in a session of their own; what is
stopped is therefore every process group below the ones started here, and nothing else.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from fedask.common.errors import ConfigError, UnavailableError

_POLL_S = 0.05
_TAIL_LINES = 15
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class _Started:
    """One process, leader of its own group, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the machine's process table."""

    pid: int
    parent: int
    group: int
    gone: bool


class Processes:
    """Starts processes; as a context manager, leaves none behind.

    Parameters
    ----------
    logs
        Folder that gets a ``NAME.log`` per process; made if missing.
    env
        Their environment.
    stop_timeout_s
        How long they may take to end by themselves before they are killed.
    """

    def __init__(
        self, logs: Path, env: Mapping[str, str], stop_timeout_s: float = 5.0
    ) -> None:
        self._logs = logs
        self._env = dict(env)
        self._stop_timeout_s = stop_timeout_s
        self._started: list[_Started] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        """Start ``command`` in a session of its own.

        Parameters
        ----------
        name
            For its log and for messages.
        command
            First the name of an executable beside this Python's own.
        env
            Added to the common environment.
        """
        path = self.log(name)
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  (fixed names, no shell)
                [find_executable(command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._env, **(env or {})},
                start_new_session=True,
            )
        self._started.append(_Started(name, process, path))

    def log(self, name: str) -> Path:
        """Return where the output of a process goes."""
        return self._logs / f"{name}.log"

    def wait_until(
        self, ready: Callable[[], bool], what: str, timeout_s: float
    ) -> None:
        """Wait while all processes run.

        Raises
        ------
        UnavailableError
            If one of them ends, or it takes longer than ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            for started in self._started:
                code = started.process.poll()
                if code is not None:
                    msg = f"{started.name} ended with exit code {code}:\n"
                    raise UnavailableError(msg + tail(started.log))
            if time.monotonic() > deadline:
                msg = f"{what} took more than {timeout_s:g} s; see {self._logs}"
                raise UnavailableError(msg)
            time.sleep(_POLL_S)

    def wait_for(self, name: str, timeout_s: float) -> int:
        """Wait for a process to end, while all others run; return its exit code.

        Raises
        ------
        UnavailableError
            If another one ends, or it takes longer than ``timeout_s``.
        """
        (started,) = (entry for entry in self._started if entry.name == name)
        self._started.remove(started)
        try:
            self.wait_until(lambda: started.process.poll() is not None, name, timeout_s)
        finally:
            self._started.append(started)
        return int(started.process.returncode)

    def stop(self) -> None:
        """End everything that was started here, and what those processes started.

        First asked, then killed; killed at once if this wait is interrupted.
        """
        groups = self._groups()
        _signal(groups, signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        try:
            while self._alive(groups) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        finally:
            # Again from the table: a process may have started another meanwhile.
            _signal(groups | self._groups(), signal.SIGKILL)
            for started in self._started:
                started.process.wait()
            self._started.clear()

    def _groups(self) -> set[int]:
        """Return the groups of all processes started here, and of those below them."""
        table = _table()
        known = {started.process.pid for started in self._started}
        groups = set(known)
        size = 0
        while len(known) > size:
            size = len(known)
            below = [e for e in table if e.parent in known or e.group in groups]
            known |= {entry.pid for entry in below}
            groups |= {entry.group for entry in below}
        return groups

    def _alive(self, groups: set[int]) -> bool:
        running = [s for s in self._started if s.process.poll() is None]
        return bool(running) or any(
            entry.group in groups and not entry.gone for entry in _table()
        )


def find_executable(name: str) -> str:
    """Return the executable that was installed with this Python.

    Raises
    ------
    ConfigError
        If there is none.
    """
    # Not resolved: in a virtual environment the link's own folder is the right one.
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        msg = f"{path} is missing: install flwr into the same environment as fedask"
        raise ConfigError(msg)
    return str(path)


def tail(log: Path) -> str:
    """Return the last lines of a log, without colours."""
    text = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM end this process like an exception, so that clean-ups run.

    Without it Python dies on the spot. A handler that someone else set is kept, and
    only the main thread may set one.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _signal(groups: set[int], number: int) -> None:
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            continue  # macOS says so of a group of zombies


def _table() -> list[_Entry]:
    """Read the machine's process table."""
    if Path("/proc/self/stat").exists():
        lines = [_stat(path) for path in Path("/proc").glob("[0-9]*/stat")]
    else:
        command = ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid=,stat="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        lines = [line.split() for line in listed.stdout.splitlines()]
    return [
        _Entry(int(pid), int(parent), int(group), state.startswith("Z"))
        for pid, parent, group, state in (line for line in lines if line)
    ]


def _stat(path: Path) -> list[str]:
    """Return pid, parent, group and state; nothing for a process that just ended."""
    try:
        # The name, in brackets, may hold blanks and brackets itself: proc(5).
        state, parent, group = path.read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return []
    return [path.parent.name, parent, group, state]
