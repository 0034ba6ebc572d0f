"""The sensors of this machine, as its owner's settings ask for them.

Called for a real device, before anything heavy is imported and while it trains.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fedask.client.site.eligibility.eligibility_settings import (
    EligibilitySettings,
)
from fedask.client.site.eligibility.guard import (
    Eligibility,
    EligibilityGuard,
    EligibilitySensor,
    Watched,
)
from fedask.client.site.eligibility.sensors.disk import DiskSensor
from fedask.client.site.eligibility.sensors.hours import HoursSensor
from fedask.client.site.eligibility.sensors.load import CpuSensor, MemorySensor
from fedask.client.site.eligibility.sensors.network import NET, ROUTES, NetworkSensor
from fedask.client.site.eligibility.sensors.power import (
    POWER,
    BatterySensor,
    PluggedSensor,
    read_power,
)
from fedask.client.site.eligibility.sensors.thermal import THERMAL, ThermalSensor
from fedask.common.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The system files that the sensors read; tests pass a folder of their own."""

    power: Path = POWER
    thermal: Path = THERMAL
    net: Path = NET
    routes: Path = ROUTES
    clock: Clock = field(default_factory=SystemClock)


MACHINE = Machine()


def make_eligibility(
    settings: EligibilitySettings, folder: Path, machine: Machine = MACHINE
) -> Eligibility:
    """Return the sensors that the settings ask for.

    Parameters
    ----------
    folder
        Of the store: its disk is looked at.
    """
    read = partial(read_power, machine.power)
    makers: dict[str, Callable[[], EligibilitySensor]] = {
        "plugged": lambda: PluggedSensor(read),
        "battery": lambda: BatterySensor(settings.battery_min or 0, read),
        "cpu": lambda: CpuSensor(settings.cpu_max or 0),
        "memory": lambda: MemorySensor(settings.memory_min_mb or 0),
        "disk": lambda: DiskSensor(settings.disk_min_mb or 0, folder),
        "network": lambda: NetworkSensor(
            unmetered=settings.network == "unmetered",
            net=machine.net,
            routes=machine.routes,
        ),
        "temperature": lambda: ThermalSensor(
            settings.temperature_max or 0.0, machine.thermal
        ),
        "hours": lambda: HoursSensor(settings.window, machine.clock),
    }
    return Eligibility(
        [
            Watched(sensor=make(), required=name not in settings.preferred)
            for name, make in makers.items()
            if name in settings.wanted
        ]
    )


def make_guard(
    settings: EligibilitySettings, folder: Path, machine: Machine = MACHINE
) -> EligibilityGuard:
    """Return the guard of a real device; see ``make_eligibility``."""
    eligibility = make_eligibility(settings, folder, machine)
    return EligibilityGuard(eligibility, settings.interval_s)
