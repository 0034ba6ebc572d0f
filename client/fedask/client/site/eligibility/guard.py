"""Whether a device may train now, and the guard that stops it when it no longer may.

Called by the ClientApp of a real device before and while it works on a message, and
when a device trains its local model; never by a simulation, and the server has no say.
Knows no sensor: those are in ``sensors``.

Fails closed: what a required sensor cannot tell counts against the device, and so does
a sensor that hangs. Only codes leave the device; what a sensor read stays in its own
log.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from fedask.common.errors import UnavailableError

STUCK_S = 3.0  # longer than any sensor takes: a device stops within five seconds

_log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a device may not train. A code once given keeps its meaning."""

    NOT_PLUGGED = "not-plugged"  # it runs on its battery
    BATTERY_LOW = "battery-low"  # under the level that its owner wants
    CPU_BUSY = "cpu-busy"  # other programs need the processor
    MEMORY_LOW = "memory-low"  # too little is free
    DISK_LOW = "disk-low"  # too little is free where the store is
    NETWORK_ABSENT = "network-absent"  # no connection at all
    NETWORK_METERED = "network-metered"  # the connection costs by the byte
    TOO_HOT = "too-hot"
    OUTSIDE_HOURS = "outside-hours"  # not the time of day that its owner allows
    SENSOR_MISSING = "sensor-missing"  # a required sensor cannot tell
    SENSOR_STUCK = "sensor-stuck"  # a sensor does not come back


class MissingError(UnavailableError):
    """A sensor cannot tell: it is not there, or what it says makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One reason why the device may not train now.

    Parameters
    ----------
    sentence
        For the owner of the device: what was read, and what is wanted.
    """

    reason: Reason
    sentence: str


class EligibilitySensor(Protocol):
    """Reads one property of the device."""

    @property
    def name(self) -> str:
        """Name of the sensor in the settings."""
        ...

    def look(self) -> Obstacle | None:
        """Return why the device may not train now, or None; takes at most a second.

        Raises
        ------
        MissingError
            If it cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A sensor, and whether it must be able to tell.

    Parameters
    ----------
    required
        Whether the device may not train when the sensor cannot tell. Otherwise it is
        obeyed where it can: a fleet may have machines with a battery and without.
    """

    sensor: EligibilitySensor
    required: bool = True


class Eligibility:
    """The conditions under which a device may train.

    Parameters
    ----------
    watched
        Without any, the device is always eligible.
    """

    def __init__(self, watched: Sequence[Watched] = ()) -> None:
        self._watched = tuple(watched)

    def __bool__(self) -> bool:
        return bool(self._watched)

    def look(self) -> tuple[Obstacle, ...]:
        """Return all reasons why the device may not train now; none: it is eligible."""
        found = (_obstacle(watched) for watched in self._watched)
        return tuple(obstacle for obstacle in found if obstacle is not None)

    def refuse(self) -> None:
        """Refuse a device that is not eligible now.

        Raises
        ------
        UnavailableError
            If it is not: with the codes, nothing else.
        """
        obstacles = self.look()
        if obstacles:
            raise _refusal(obstacles)


def _obstacle(watched: Watched) -> Obstacle | None:
    name = watched.sensor.name
    try:
        return watched.sensor.look()
    except MissingError as err:
        why = str(err)
    except Exception as err:  # noqa: BLE001  (a user's own; whatever it is, fail closed)
        why = f"the sensor failed ({type(err).__name__})"
    if not watched.required:
        return None
    sentence = f"{name}: {why}"
    return Obstacle(reason=Reason.SENSOR_MISSING, sentence=sentence)


def _refusal(obstacles: Sequence[Obstacle]) -> UnavailableError:
    codes = sorted({obstacle.reason.value for obstacle in obstacles})
    sentences = "; ".join(obstacle.sentence for obstacle in obstacles)
    _log.warning("not_eligible: %s", sentences, extra={"reasons": codes})
    return UnavailableError(f"not eligible: {', '.join(codes)}")


class EligibilityGuard:
    """Watches the sensors while the device works, from a thread of its own.

    A context manager: entering looks once, and refuses if the device is not eligible.
    What works in it calls ``check`` between two pieces of work, which costs nothing.

    Parameters
    ----------
    interval_s
        Seconds between two looks.
    monotonic
        Seconds from some moment on, that never go back.
    """

    def __init__(
        self,
        eligibility: Eligibility,
        interval_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._eligibility = eligibility
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._obstacles: tuple[Obstacle, ...] = ()
        self._looked = 0.0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._eligibility.refuse()
        if self._eligibility:
            self._looked = self._monotonic()
            self._thread = threading.Thread(
                target=self._watch, name="eligibility", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(STUCK_S)  # one that hangs is left behind: it is a daemon

    def look(self) -> tuple[Obstacle, ...]:
        """Return all reasons against training now: for the owner, not in the log."""
        return self._eligibility.look()

    def refuse(self) -> None:
        """Refuse a device that is not eligible now; starts no thread.

        Raises
        ------
        UnavailableError
            If it is not: with the codes.
        """
        self._eligibility.refuse()

    def check(self) -> None:
        """Refuse to go on if the device is no longer eligible.

        Raises
        ------
        UnavailableError
            If it is not, or nobody could tell for too long: with the codes.
        """
        if self._obstacles:
            raise _refusal(self._obstacles)
        if self._thread is None:
            return
        silent_s = self._monotonic() - self._looked
        if silent_s > self._interval_s + STUCK_S:
            sentence = f"no sensor was read for {silent_s:.0f} s: one of them hangs"
            raise _refusal([Obstacle(reason=Reason.SENSOR_STUCK, sentence=sentence)])

    def _watch(self) -> None:
        while not self._end.wait(self._interval_s):
            obstacles = self._eligibility.look()
            if obstacles:
                self._obstacles = obstacles
                return  # what was interrupted stays interrupted
            self._looked = self._monotonic()
