"""The settings of when a device may train. Set by its owner, never by the server."""

import re
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from fedask.common.registry import nearest
from fedask.common.settings import require

NAMES = (
    "plugged",
    "battery",
    "cpu",
    "memory",
    "disk",
    "network",
    "temperature",
    "hours",
)  # of the sensors

_RANGES = {  # lowest and highest value
    "battery_min": (1, 100),
    "cpu_max": (1, 100),
    "memory_min_mb": (1, 1 << 40),
    "disk_min_mb": (1, 1 << 40),
    "temperature_max": (1, 120),
    "interval_s": (0.1, 1.5),
}
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilitySettings:
    """When a device may train; a sensor without a setting is not read.

    Parameters
    ----------
    plugged
        Only on mains.
    battery_min
        Level in percent, from 1 to 100.
    cpu_max
        Percent of all processors that other programs may use, from 1 to 100.
    memory_min_mb, disk_min_mb
        MiB that must be free; the disk's where the store is.
    network
        ``any`` or ``unmetered``.
    temperature_max
        Degrees Celsius of the hottest zone, from 1 to 120.
    hours
        ``22:00-06:00``, the end not included; over midnight if it ends earlier.
    zone
        Of the hours, as ``Europe/Berlin``.
    prefer
        Sensors that are obeyed where they can tell, by name, parted by spaces or
        commas; the others are required, so that a device without one never trains.
    interval_s
        Seconds between two looks while a round is worked on.

    Raises
    ------
    ConfigError
        If one is out of range, or says nothing.
    """

    plugged: bool | None = None
    battery_min: int | None = None
    cpu_max: int | None = None
    memory_min_mb: int | None = None
    disk_min_mb: int | None = None
    network: str | None = None
    temperature_max: float | None = None
    hours: str | None = None
    zone: str | None = None
    prefer: str | None = None
    interval_s: float = 1.0  # a round stops within five seconds

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            # Most likely a slip: a device that trains whenever it likes.
            asks = value is None or bool(value)
            require(asks, name, value, "asks for nothing: leave it out")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            ok = value is None or low <= value <= high
            require(ok, name, value, f"must be {low} to {high}")
        ok = self.network in {None, "any", "unmetered"}
        require(ok, "network", self.network, "must be any or unmetered")
        if self.hours or self.zone:
            _check_hours(self.hours or "", self.zone or "")
        for name in self.preferred:
            unset = "no such sensor is asked for" + nearest(name, self.wanted)
            require(name in self.wanted, "prefer", name, unset)

    @property
    def wanted(self) -> frozenset[str]:
        """Names of the sensors that are asked for."""
        values = (
            self.plugged,
            self.battery_min,
            self.cpu_max,
            self.memory_min_mb,
            self.disk_min_mb,
            self.network,
            self.temperature_max,
            self.hours,
        )
        pairs = zip(NAMES, values, strict=True)
        return frozenset(name for name, value in pairs if value)

    @property
    def preferred(self) -> frozenset[str]:
        """Names of the sensors that may be missing."""
        names = (self.prefer or "").replace(",", " ")
        return frozenset(names.split())

    @property
    def window(self) -> tuple[time, time, ZoneInfo]:
        """Beginning, end and zone of the hours."""
        begin, _, end = (self.hours or "").partition("-")
        return (
            time.fromisoformat(begin),
            time.fromisoformat(end),
            ZoneInfo(self.zone or ""),
        )


def _check_hours(hours: str, zone: str) -> None:
    found = _HOURS.fullmatch(hours)
    ok = found is not None and found[1] + found[2] != found[3] + found[4]
    require(ok, "hours", hours, "must be as 22:00-06:00, two different times")
    try:
        known = bool(zone) and bool(ZoneInfo(zone))
    except (OSError, ValueError, KeyError):
        known = False
    rule = "must be a time zone that this machine knows, as Europe/Berlin"
    require(known, "zone", zone, rule)
