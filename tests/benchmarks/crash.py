"""Kills what takes answers in, at any system call, and looks for what was promised.

Called by the ``crash`` benchmark. In each run people answer on the page, in an app of
the labelling service, in a terminal and through an imported file, all at once over one
store; one of the four processes that write is killed at its n-th system call, n drawn
over all it makes. With ``cut`` the files are copied there instead, as a power cut would
leave them, and the copy is looked at.
"""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import tracing
from tests.benchmarks.clerks import (
    ANSWERS,
    AcknowledgedAnswer,
    Ward,
    fork,
    import_file,
    label_in_app,
    label_in_terminal,
    label_of,
    label_on_page,
    preload,
    serve_apps,
    serve_page,
)

from fedask.client.records.annotation import Annotation
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid, stable_seed

SAMPLES = 40  # more than all clients answer
_END_S = 30.0
Work = Callable[[Ward], None]
# Victim to who else works; the first two serve until they are told to stop.
VICTIMS: dict[str, Work] = {
    "page": serve_page,
    "service": serve_apps,
    "terminal": label_in_terminal,
    "import": import_file,
}
_SERVERS = ("page", "service")
_CALLERS: dict[str, Work] = {"page": label_on_page, "service": label_in_app}


@dataclass(kw_only=True)
class Tally:
    """What all runs came to.

    Parameters
    ----------
    lost
        Acknowledged answers that are not in the store.
    twice
        Answers that are there more than once, or labels that no answer gave.
    broken
        Stores that did not open, or were damaged.
    """

    runs: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    kept: int = 0
    lost: int = 0
    twice: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**vars(self), "killed": dict(self.killed)}


def measure(
    runs: int, seed: int, say: Callable[[str], None], *, cut: bool = False
) -> Tally:
    """Kill again and again.

    Parameters
    ----------
    runs
        How often.
    seed
        Decides who is killed, and where.
    say
        Told how far it is.
    cut
        Copy the files instead of killing: a power cut.

    Raises
    ------
    UnavailableError
        If processes cannot be traced here.
    """
    preload()
    tally = Tally()
    longest = dict.fromkeys(VICTIMS, 0)  # system calls of each, as seen so far
    for number in range(runs):
        rng = random.Random(stable_seed("crash", seed, number))
        victim = list(VICTIMS)[number % len(VICTIMS)]
        # Drawn a little beyond, so that some die at the end or not at all.
        at = rng.randint(1, int(longest[victim] * 1.1) + 2) if longest[victim] else 0
        with tempfile.TemporaryDirectory(prefix="fedask-crash-") as folder:
            calls = _run(Path(folder), victim, at, tally, cut=cut)
        longest[victim] = max(longest[victim], calls)
        if (number + 1) % 50 == 0:
            say(f"{number + 1} of {runs}: {tally.acknowledged} answers acknowledged")
    return tally


def _run(folder: Path, victim: str, at: int, tally: Tally, *, cut: bool) -> int:
    """Do one run; returns the system calls that the victim made (stops of it)."""
    uids = [Uid(f"{stable_seed('crash', n):016x}" * 2) for n in range(SAMPLES)]
    ward = Ward(folder=folder / "ward", rows=uids[-ANSWERS:])
    ward.folder.mkdir(mode=0o700)
    with closing(ward.open()) as store:
        store.queue.add(1, uids)
    copied, promised = folder / "copy", list[AcknowledgedAnswer]()

    def strike(pid: int) -> None:
        if not cut:
            os.kill(pid, signal.SIGKILL)
            return
        promised.extend(ward.acknowledged())  # before the copy: all of it is in there
        shutil.copytree(ward.folder, copied, ignore=_no_sockets)

    calls = _play(ward, victim, at, strike)
    tally.runs += 1
    if cut and copied.exists():
        (copied / "device.db-shm").unlink(missing_ok=True)  # memory is gone
        tally.killed[victim] += 1
        _look(Ward(folder=copied, rows=ward.rows), promised, tally, copied=True)
        return calls
    tally.killed[victim] += bool(at) and at <= calls
    _look(ward, ward.acknowledged(), tally)
    return calls


def _no_sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


def _play(ward: Ward, victim: str, at: int, strike: Callable[[int], None]) -> int:
    """Let everybody work until the victim is gone or all is done."""
    tracer_pid, calls_of = _traced(VICTIMS[victim], ward, at, strike, victim)
    others = {
        name: fork(work, ward) for name, work in VICTIMS.items() if name != victim
    }
    callers = [fork(work, ward) for work in _CALLERS.values()]
    people = [pid for name, pid in others.items() if name not in _SERVERS]
    for pid in (*people, *callers):
        _reap(pid)
    for name in _SERVERS:
        if name in others:
            os.kill(others[name], signal.SIGTERM)
            _reap(others[name])
    os.kill(tracer_pid, signal.SIGUSR1)  # passes a stop on to a server
    _reap(tracer_pid)
    return calls_of()


def _traced(
    work: Work, ward: Ward, at: int, strike: Callable[[int], None], name: str
) -> tuple[int, Callable[[], int]]:
    """Run the victim below a process that counts its system calls."""
    counted = ward.folder.parent / "calls"
    pid = os.fork()
    if pid:
        return pid, lambda: int(counted.read_text()) if counted.exists() else 0
    status = 1
    try:
        victim = tracing.spawn(lambda: work(ward))

        def stop(number: int, frame: object) -> None:  # noqa: ARG001  (a handler's signature)
            if name in _SERVERS:
                os.kill(victim, signal.SIGTERM)

        signal.signal(signal.SIGUSR1, stop)
        ended = tracing.run(victim, at, lambda: strike(victim))
        counted.write_text(str(ended.calls))
        ward.gone(name).touch()
        status = 0
    finally:
        os._exit(status)


def _reap(pid: int) -> None:
    """Wait for a process; end it if it hangs."""
    ends = time.monotonic() + _END_S
    while time.monotonic() < ends:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _reopened(ward: Ward, *, copied: bool) -> SqliteStore:
    """Open the store with its audit log, which refuses a log that is cut.

    A copy is only read: its files are of different moments, so that the log's head may
    be newer than the store. A power cut takes all files at once.
    """
    return SqliteStore(ward.store) if copied else ward.open()


def _look(
    ward: Ward,
    promised: list[AcknowledgedAnswer],
    tally: Tally,
    *,
    copied: bool = False,
) -> None:
    """Open the store as the next process would, and look for what was promised."""
    tally.acknowledged += len(promised)
    try:
        with closing(_reopened(ward, copied=copied)) as store:
            if problem := store.problem():
                tally.broken += 1
                tally.problems.append(problem)
            annotations = store.annotations.newest(10 * SAMPLES, None)
            labels = {item.uid: item.label for item in store.queue.items()}
    except Exception as err:  # noqa: BLE001  (whatever it is, it is a finding)
        tally.broken += 1
        tally.problems.append(f"{type(err).__name__}: {err}")
        return
    _compare(promised, [v for v in annotations if v.undone is None], labels, tally)


def _compare(
    promised: list[AcknowledgedAnswer],
    standing: list[Annotation],
    labels: dict[Uid, int | None],
    tally: Tally,
) -> None:
    kept = Counter(
        AcknowledgedAnswer(v.annotator, v.uid, -1 if v.label is None else v.label)
        for v in standing
    )
    tally.kept += kept.total()
    lost = [said for said in promised if not kept[said]]
    twice = [said for said, count in kept.items() if count > 1]
    answered = {said.uid for said in kept}
    wrong = [
        uid
        for uid, label in labels.items()
        if (label is not None) != (uid in answered)
        or (label is not None and label != label_of(uid))
    ]
    tally.lost += len(lost)
    tally.twice += len(twice) + len(wrong)
    tally.problems += [f"{each}" for each in (*lost, *twice, *wrong)]
