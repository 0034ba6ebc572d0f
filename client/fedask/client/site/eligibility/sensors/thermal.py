"""The temperature of the machine, from Linux's ``/sys/class/thermal``."""

from pathlib import Path

from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
)
from fedask.client.site.eligibility.sensors.system_file import read_number

THERMAL = Path("/sys/class/thermal")

_LOWEST, _HIGHEST = -40.0, 150.0  # degrees; drivers tell -273 or 255 for "unknown"


class ThermalSensor(EligibilitySensor):
    """Whether the hottest zone is cool enough.

    Parameters
    ----------
    most
        Degrees Celsius.
    """

    name = "temperature"

    def __init__(self, most: float, folder: Path = THERMAL) -> None:
        self._most = most
        self._folder = folder

    @override
    def look(self) -> Obstacle | None:
        told = [read_number(path) for path in self._folder.glob("thermal_zone*/temp")]
        degrees = [value / 1000 for value in told if value is not None]
        sane = [each for each in degrees if _LOWEST <= each <= _HIGHEST]
        if not sane:
            raise MissingError("no thermal zone tells its temperature")
        if max(sane) <= self._most:
            return None
        sentence = f"it is {max(sane):.0f} °C hot, more than {self._most:.0f} °C"
        return Obstacle(reason=Reason.TOO_HOT, sentence=sentence)
