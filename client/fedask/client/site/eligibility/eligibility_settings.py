"""When a device may train. Set by its owner, never by the server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from fedask.client.base.prefixed_settings import check_kind, settings_under
from fedask.common.errors import ConfigError
from fedask.common.registry import nearest

PREFIX = "eligible-"
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

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilitySettings:
    """When a device may train; what is not set is not looked at.

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

    plugged: bool = False
    battery_min: int = 0
    cpu_max: int = 0
    memory_min_mb: int = 0
    disk_min_mb: int = 0
    network: str = ""
    temperature_max: float = 0.0
    hours: str = ""
    zone: str = ""
    prefer: str = ""
    interval_s: float = 1.0  # a round stops within five seconds

    def __post_init__(self) -> None:
        for name, ok, wanted in (
            ("battery_min", 0 <= self.battery_min <= 100, "1 to 100"),  # noqa: PLR2004  (its range, told beside)
            ("cpu_max", 0 <= self.cpu_max <= 100, "1 to 100"),  # noqa: PLR2004  (its range, told beside)
            ("memory_min_mb", self.memory_min_mb >= 0, "more than 0"),
            ("disk_min_mb", self.disk_min_mb >= 0, "more than 0"),
            ("network", self.network in {"", "any", "unmetered"}, "any or unmetered"),
            ("temperature_max", 0 <= self.temperature_max <= 120, "1 to 120"),  # noqa: PLR2004  (its range, told beside)
            ("interval_s", 0.1 <= self.interval_s <= 1.5, "0.1 to 1.5"),  # noqa: PLR2004  (its range, told beside)
        ):
            if not ok:
                _refuse(name, getattr(self, name), f"must be {wanted}")
        if self.hours or self.zone:
            _check_hours(self.hours, self.zone)
        for name in self.preferred:
            if name not in self.wanted:
                unset = "no such sensor is asked for" + nearest(name, self.wanted)
                _refuse("prefer", name, unset)

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
        return frozenset(self.prefer.replace(",", " ").split())

    @property
    def window(self) -> tuple[time, time, ZoneInfo]:
        """Beginning, end and zone of the hours."""
        begin, _, end = self.hours.partition("-")
        return time.fromisoformat(begin), time.fromisoformat(end), ZoneInfo(self.zone)

    @classmethod
    def from_node(cls, node: Mapping[str, object]) -> "EligibilitySettings":
        """Read the keys that begin with ``eligible-``, as ``eligible-battery-min``.

        Parameters
        ----------
        node
            The owner's node configuration; other keys are not looked at.

        Raises
        ------
        ConfigError
            If a key is none that there is (the nearest is named) or a value is wrong.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        chosen: dict[str, Any] = {}
        for name, key, value in settings_under(node, PREFIX, kinds):
            check_kind(key, value, kinds[name])
            if not value:
                # Most likely a slip: a device that trains whenever it likes.
                msg = f"--node-config {key} = {value!r} asks for nothing: leave it out"
                raise ConfigError(msg)
            chosen[name] = value
        return cls(**chosen)


def _refuse(name: str, value: object, why: str) -> None:
    key = f"{PREFIX}{name}".replace("_", "-")
    msg = f"{key} = {value!r}: {why}"
    raise ConfigError(msg)


def _check_hours(hours: str, zone: str) -> None:
    found = _HOURS.fullmatch(hours)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        _refuse("hours", hours, "must be as 22:00-06:00, two different times")
    try:
        if not zone:
            raise ValueError  # noqa: TRY301  (as a zone that is none)
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError) as err:
        why = "must be a time zone that this machine knows, as Europe/Berlin"
        msg = f"{PREFIX}zone = {zone!r}: {why}"
        raise ConfigError(msg) from err
