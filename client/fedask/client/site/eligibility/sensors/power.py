"""Mains and battery, from Linux's ``/sys/class/power_supply``, elsewhere from psutil.

Called by ``machine``. A supply whose scope is a device (a mouse, a headset) is not the
machine's own and is passed over.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
)
from fedask.client.site.eligibility.sensors.system_file import read_number, read_text

POWER = Path("/sys/class/power_supply")

_FULL = 100
_CHARGES = frozenset({"Charging", "Full", "Not charging"})  # full enough, on mains
_MAINS = frozenset({"Mains", "USB", "Wireless"})


class PowerReading(NamedTuple):
    """What is known; None is what is not.

    Parameters
    ----------
    plugged
        Whether it is on mains.
    level
        Of the emptiest battery, in percent.
    """

    plugged: bool | None
    level: int | None


def read_power(folder: Path = POWER) -> PowerReading:
    """Read every supply of the machine."""
    if not folder.is_dir():
        return _from_psutil()
    plugged: list[bool] = []
    levels: list[int] = []
    for supply in sorted(folder.iterdir()):
        if read_text(supply / "scope") == "Device":
            continue
        kind = read_text(supply / "type")
        if kind == "Battery":
            level = read_number(supply / "capacity")
            levels.append(-1 if level is None else level)
            plugged += [True] if read_text(supply / "status") in _CHARGES else []
            plugged += [False] if read_text(supply / "status") == "Discharging" else []
        elif kind in _MAINS and (online := read_number(supply / "online")) is not None:
            plugged.append(online > 0)
    sane = levels and all(0 <= level <= _FULL for level in levels)
    return PowerReading(
        any(plugged) if plugged else None, min(levels) if sane else None
    )


def _from_psutil() -> PowerReading:
    import psutil  # noqa: PLC0415  (slow to import, and not needed on Linux)

    battery = getattr(psutil, "sensors_battery", lambda: None)()
    if battery is None:
        return PowerReading(None, None)
    level = round(battery.percent)
    return PowerReading(battery.power_plugged, level if 0 <= level <= _FULL else None)


class PluggedSensor(EligibilitySensor):
    """Whether the device is on mains."""

    name = "plugged"

    def __init__(self, read: Callable[[], PowerReading] = read_power) -> None:
        self._read = read

    @override
    def look(self) -> Obstacle | None:
        plugged = self._read().plugged
        if plugged is None:
            raise MissingError("no supply says whether it is on mains")
        if plugged:
            return None
        return Obstacle(reason=Reason.NOT_PLUGGED, sentence="it runs on its battery")


class BatterySensor(EligibilitySensor):
    """Whether the battery has a level.

    Parameters
    ----------
    least
        In percent.
    """

    name = "battery"

    def __init__(
        self, least: int, read: Callable[[], PowerReading] = read_power
    ) -> None:
        self._least = least
        self._read = read

    @override
    def look(self) -> Obstacle | None:
        level = self._read().level
        if level is None:
            raise MissingError("no battery tells its level")
        if level >= self._least:
            return None
        sentence = f"the battery is at {level} %, not {self._least} %"
        return Obstacle(reason=Reason.BATTERY_LOW, sentence=sentence)
