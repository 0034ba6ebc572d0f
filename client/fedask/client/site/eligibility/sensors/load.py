"""Processors and memory, from psutil. Called by ``machine``.

What fedask itself uses does not count: it would stop its own training.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
)

_MIB = 2**20
_FIRST_S = 0.3  # of a first look, which needs two readings
_WINDOW_S = 3.0  # a burst of a second is nobody at work


class CpuTimes(NamedTuple):
    """Seconds since the machine started, summed over its processors.

    Parameters
    ----------
    total, busy
        That went by, and in which something ran.
    own
        Of the busy ones, those of this process.
    processors
        How many there are.
    """

    total: float
    busy: float
    own: float
    processors: int


def read_cpu() -> CpuTimes:
    """Read the processor times that psutil knows.

    Raises
    ------
    MissingError
        If it tells nothing.
    """
    try:
        import psutil  # noqa: PLC0415  (slow to import)

        times = psutil.cpu_times()._asdict()
        own = psutil.Process().cpu_times()
        count = psutil.cpu_count() or 1
    except (ImportError, OSError, RuntimeError) as err:
        raise MissingError(f"the load cannot be read ({type(err).__name__})") from err
    # Guests are counted among the user's already.
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    busy = total - times["idle"] - times.get("iowait", 0.0)
    return CpuTimes(total, busy, own.user + own.system, count)


class CpuSensor(EligibilitySensor):
    """Whether other programs leave enough of the processors.

    Parameters
    ----------
    most
        Percent of all processors that others may use, over some seconds.
    read
        Reads the times.
    wait
        Waits for seconds, at the first look.
    """

    name = "cpu"

    def __init__(
        self,
        most: int,
        read: Callable[[], CpuTimes] = read_cpu,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._most = most
        self._read = read
        self._wait = wait
        self._readings: deque[CpuTimes] = deque()

    @override
    def look(self) -> Obstacle | None:
        if not self._readings:
            self._readings.append(self._read())
            self._wait(_FIRST_S)
        now = self._read()
        self._readings.append(now)
        # The clock of the readings: all processors together have so many seconds.
        while now.total - self._readings[1].total >= _WINDOW_S * now.processors:
            self._readings.popleft()
        before = self._readings[0]
        gone = now.total - before.total
        if gone <= 0:
            raise MissingError("the load cannot be read: no time went by")
        others = (now.busy - before.busy) - (now.own - before.own)
        percent = 100 * max(0.0, others) / gone
        if percent <= self._most:
            return None
        sentence = f"other programs use {percent:.0f} % of the processors, more than "
        sentence += f"{self._most} %"
        return Obstacle(reason=Reason.CPU_BUSY, sentence=sentence)


def read_memory() -> int:
    """Return the bytes of memory that are free for use.

    Raises
    ------
    MissingError
        If psutil does not tell.
    """
    try:
        import psutil  # noqa: PLC0415  (slow to import)

        return int(psutil.virtual_memory().available)
    except (ImportError, OSError, RuntimeError) as err:
        raise MissingError(
            f"the free memory cannot be read ({type(err).__name__})"
        ) from err


class MemorySensor(EligibilitySensor):
    """Whether enough memory is free.

    Parameters
    ----------
    least_mb
        MiB.
    read
        Reads the free bytes.
    """

    name = "memory"

    def __init__(self, least_mb: int, read: Callable[[], int] = read_memory) -> None:
        self._least_mb = least_mb
        self._read = read

    @override
    def look(self) -> Obstacle | None:
        free = self._read() // _MIB
        if free >= self._least_mb:
            return None
        sentence = f"{free} MiB of memory are free, not {self._least_mb}"
        return Obstacle(reason=Reason.MEMORY_LOW, sentence=sentence)
