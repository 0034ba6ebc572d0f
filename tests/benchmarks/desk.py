"""The labelling desk over a long queue: how long people wait. Called by the command.

One SQLite file as a device has it, ``synchronous=FULL`` and with its audit log, on the
disk of the folder for temporary files, for which every lease and every answer waits.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import Label
from fedask.client.records.device_store import Waiting
from fedask.client.store.audit.audit_log import SqliteAudit
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import SystemClock
from fedask.common.grid import Scored
from fedask.common.ids import Uid

CLASSES = 10
_CHUNK = 100_000  # samples of one cycle
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Waits:
    """How long calls took, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Waits":
        """Summarise a list of durations."""
        p50, p99, longest = np.percentile(np.array(seconds) * 1e3, (50, 99, 100))
        return cls(*(round(float(each), 3) for each in (p50, p99, longest)))


def measure(queued: int, calls: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Fill a store, open it, then lease and answer one sample at a time.

    Parameters
    ----------
    queued
        Samples that wait; each with a score of its own.
    calls
        Leases and answers, by three annotators in turn.
    say
        Told what goes on.

    Returns
    -------
    dict
        Times and sizes. ``lease``, ``submit``, ``progress`` have ``p50_ms``, ``p99_ms``
        and ``max_ms``; ``disk`` is the same for a bare write of 4 KiB and ``fsync``,
        without which no answer is safe.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "device.db"
        say(f"queueing {queued} samples")
        result: dict[str, Any] = {"queued": queued, "calls": calls}
        result["fill_s"] = round(_timed(lambda: _fill(path, queued)), 2)
        result["file_mib"] = round(path.stat().st_size / _KIB**2, 1)
        result["disk"] = asdict(disk(Path(folder) / "bare", calls))
        opened: list[SqliteStore] = []
        result["open_ms"] = round(1e3 * _timed(lambda: opened.append(_opened(path))), 2)
        (store,) = opened
        try:
            for rule in ("one", "two"):
                say(f"{calls} leases and answers under the rule {rule!r}")
                result[rule] = _work(store, rule, calls)
        finally:
            store.close()
        result["file_after_mib"] = round(path.stat().st_size / _KIB**2, 1)
    return result


def _opened(path: Path) -> SqliteStore:
    audit = SqliteAudit(path, None, SystemClock(), process="bench")
    return SqliteStore(path, audit=audit)


def _fill(path: Path, queued: int) -> None:
    rng = np.random.default_rng(0)
    store = _opened(path)
    try:
        for cycle, start in enumerate(range(0, queued, _CHUNK), start=1):
            count = min(_CHUNK, queued - start)
            words = rng.integers(0, 2**63, (count, 2)).tolist()
            uids = [Uid(f"{high:016x}{low:016x}") for high, low in words]
            store.queue.add(cycle, uids)
            scores = rng.random(count, dtype=np.float32).tolist()
            nothing = Scored(
                np.zeros(0, np.str_), np.zeros(0, np.float32), np.zeros(0, np.int64)
            )
            known = dict(zip(uids, scores, strict=True))
            store.scores.put("bench", nothing, Waiting(scores=known))
    finally:
        store.close()


def _work(store: SqliteStore, rule: str, calls: int) -> dict[str, Any]:
    desk = Desk(
        store.annotations, SystemClock(), DeskSettings(classes=CLASSES, rule=rule)
    )
    leases: list[float] = []
    submits: list[float] = []
    for number in range(calls):
        who = f"{rule}-{number % 3}"
        begun = time.perf_counter()
        (lease,) = desk.lease(who, 1)
        leased = time.perf_counter()
        label = Label(number % CLASSES)
        desk.submit(who, lease.uid, lease.token, label, f"{number}")
        submits.append(time.perf_counter() - leased)
        leases.append(leased - begun)
    progress = [_timed(desk.progress) for _ in range(5)]
    return {
        "lease": asdict(Waits.of(leases)),
        "submit": asdict(Waits.of(submits)),
        "progress": asdict(Waits.of(progress)),
    }


def disk(path: Path, calls: int) -> Waits:
    """Measure what the disk alone takes for a write of 4 KiB and ``fsync``."""
    times = []
    with path.open("wb") as file:
        for _ in range(calls):
            begun = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return Waits.of(times)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
