import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.support.client.clock import FakeClock

from fedask.client.site.eligibility.guard import EligibilitySensor, MissingError, Reason
from fedask.client.site.eligibility.sensors.disk import DiskSensor
from fedask.client.site.eligibility.sensors.hours import HoursSensor
from fedask.client.site.eligibility.sensors.load import (
    CpuSensor,
    CpuTimes,
    MemorySensor,
    read_cpu,
    read_memory,
)
from fedask.client.site.eligibility.sensors.network import NetworkSensor, ask_nmcli
from fedask.client.site.eligibility.sensors.power import (
    BatterySensor,
    PluggedSensor,
    PowerReading,
    read_power,
)
from fedask.client.site.eligibility.sensors.thermal import ThermalSensor


def reason(sensor: EligibilitySensor) -> Reason | None:
    found = sensor.look()
    return None if found is None else found.reason


def tree(folder: Path, **files: str) -> Path:
    """Write small files; ``__`` in a name parts folders."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder


LAPTOP = {
    "AC__type": "Mains",
    "AC__online": "0",
    "BAT0__type": "Battery",
    "BAT0__capacity": "63",
    "BAT0__status": "Discharging",
}


@pytest.mark.parametrize(
    ("changes", "power"),
    [
        ({}, PowerReading(plugged=False, level=63)),
        ({"AC__online": "1"}, PowerReading(plugged=True, level=63)),
        ({"BAT0__status": "Charging"}, PowerReading(plugged=True, level=63)),
        ({"BAT0__status": "Unknown"}, PowerReading(plugged=False, level=63)),
        ({"BAT0__capacity": "lots"}, PowerReading(plugged=False, level=None)),
        ({"BAT0__capacity": "250"}, PowerReading(plugged=False, level=None)),
        ({"BAT1__type": "Battery", "BAT1__capacity": "9"}, PowerReading(False, 9)),
        ({"BAT1__type": "Battery"}, PowerReading(False, None)),
        ({"hid__type": "Battery", "hid__scope": "Device"}, PowerReading(False, 63)),
        ({"AC__online": "?", "BAT0__status": "?"}, PowerReading(None, 63)),
    ],
)
def test_power_is_what_the_supplies_tell(
    tmp_path: Path, changes: dict[str, str], power: PowerReading
) -> None:
    assert read_power(tree(tmp_path, **{**LAPTOP, **changes})) == power


def test_a_machine_without_supplies_tells_nothing(tmp_path: Path) -> None:
    assert read_power(tmp_path) == PowerReading(None, None)
    for sensor in (
        PluggedSensor(lambda: read_power(tmp_path)),
        BatterySensor(40, lambda: read_power(tmp_path)),
    ):
        with pytest.raises(MissingError):
            sensor.look()


def test_another_system_is_asked_by_psutil(tmp_path: Path) -> None:
    assert isinstance(read_power(tmp_path / "none"), PowerReading)


def test_a_battery_has_the_level_that_is_wanted_or_not() -> None:
    for level, found in ((40, None), (39, Reason.BATTERY_LOW)):
        assert (
            reason(BatterySensor(40, partial(PowerReading, plugged=True, level=level)))
            is found
        )


def test_mains_are_there_or_not() -> None:
    for plugged, found in ((True, None), (False, Reason.NOT_PLUGGED)):
        read = partial(PowerReading, plugged=plugged, level=None)
        assert reason(PluggedSensor(read)) is found


@pytest.mark.parametrize(
    ("temperatures", "found"),
    [
        (["40000", "70000"], None),
        (["40000", "70001"], Reason.TOO_HOT),
        (["40000", "255000"], None),
        (["40000", "-273200"], None),
        (["40000", "hot"], None),
    ],
)
def test_the_hottest_zone_counts(
    tmp_path: Path, temperatures: list[str], found: Reason | None
) -> None:
    files = {f"thermal_zone{n}__temp": told for n, told in enumerate(temperatures)}

    assert reason(ThermalSensor(70.0, tree(tmp_path, **files))) is found


@pytest.mark.parametrize("told", [{}, {"thermal_zone0__temp": "-274000"}])
def test_no_sane_temperature_is_none(tmp_path: Path, told: dict[str, str]) -> None:
    with pytest.raises(MissingError):
        ThermalSensor(70.0, tree(tmp_path, **told)).look()


def test_free_disk_is_measured_where_the_store_is(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free // 2**20

    assert reason(DiskSensor(free // 2, tmp_path)) is None
    assert reason(DiskSensor(2 * free, tmp_path)) is Reason.DISK_LOW
    with pytest.raises(MissingError):
        DiskSensor(1, tmp_path / "none").look()


@pytest.mark.parametrize(
    ("window", "utc", "inside"),
    [
        ("22:00-06:00", "2026-01-10T21:00", True),  # 22:00 in Berlin
        ("22:00-06:00", "2026-01-10T20:59", False),
        ("22:00-06:00", "2026-01-10T23:30", True),
        ("22:00-06:00", "2026-01-11T04:59", True),
        ("22:00-06:00", "2026-01-11T05:00", False),
        ("22:00-06:00", "2026-07-10T20:00", True),  # summer time
        ("09:00-17:30", "2026-01-10T08:00", True),
        ("09:00-17:30", "2026-01-10T16:30", False),
        ("02:00-03:00", "2026-03-29T00:59", False),  # the hour that is left out
        ("02:00-03:00", "2026-03-29T01:00", False),
    ],
)
def test_hours_are_local_and_may_go_over_midnight(
    window: str, utc: str, *, inside: bool
) -> None:
    begin, end = (time.fromisoformat(text) for text in window.split("-"))
    clock = FakeClock(datetime.fromisoformat(utc).replace(tzinfo=UTC))
    sensor = HoursSensor((begin, end, ZoneInfo("Europe/Berlin")), clock)

    assert reason(sensor) is (None if inside else Reason.OUTSIDE_HOURS)


class Cpu:
    """Two processors on which others and we use some share, each second."""

    def __init__(self) -> None:
        self.now = CpuTimes(1000.0, 500.0, 100.0, 2)
        self.others, self.own = 0.0, 0.0

    def passes(self, seconds: float) -> None:
        total, busy, own, count = self.now
        used = self.others + self.own
        self.now = CpuTimes(
            total + 2 * seconds,
            busy + 2 * seconds * used,
            own + 2 * seconds * self.own,
            count,
        )

    def sensor(self, most: int) -> CpuSensor:
        return CpuSensor(most, lambda: self.now, self.passes)


def test_what_we_use_ourselves_does_not_count() -> None:
    cpu = Cpu()
    cpu.own, cpu.others = 0.8, 0.1

    assert reason(cpu.sensor(20)) is None
    assert reason(cpu.sensor(5)) is Reason.CPU_BUSY


def test_a_burst_is_nobody_at_work_and_work_is_seen_within_seconds() -> None:
    cpu = Cpu()
    sensor = cpu.sensor(60)
    seen = [reason(sensor)]
    for others in (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0):
        cpu.others = others
        cpu.passes(1.0)
        seen.append(reason(sensor))

    assert seen == [None] * 5 + [Reason.CPU_BUSY] * 3


def test_no_time_at_all_is_no_reading() -> None:
    cpu = Cpu()

    with pytest.raises(MissingError):
        CpuSensor(50, lambda: cpu.now, lambda _: None).look()


def test_the_machine_that_runs_this_tells_its_load_and_memory() -> None:
    times, free = read_cpu(), read_memory()

    assert 0.0 < times.own <= times.busy <= times.total
    assert times.processors >= 1
    assert reason(MemorySensor(free // 2**21)) is None
    assert reason(MemorySensor(free // 2**18)) is Reason.MEMORY_LOW


V4 = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
V4_DEFAULT = V4 + "wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0\n"
V4_LOCAL = V4 + "wlan0 0000A8C0 00000000 0001 0 0 600 00FFFFFF 0 0 0\n"
ZERO = "0" * 32
V6_DEFAULT = f"{ZERO} 00 {ZERO} 00 fe80{ZERO[4:]} 00000400 1 0 3 wlan0\n"


def nobody(interface: str) -> str:
    pytest.fail(f"nobody is to be asked about {interface}")


def network(
    folder: Path,
    state: str = "up",
    ask: Callable[[str], str] | None = None,
    **tables: Any,  # noqa: ANN401
) -> NetworkSensor:
    tree(folder, net__wlan0__operstate=state, net__lo__operstate="unknown")
    for name, table in tables.items():
        tree(folder, **{f"proc__{name}": table})
    return NetworkSensor(
        unmetered=ask is not None,
        net=folder / "net",
        routes=folder / "proc",
        ask=ask or nobody,
    )


@pytest.mark.parametrize(
    ("state", "tables", "found"),
    [
        ("up", {"route": V4_DEFAULT}, None),
        ("unknown", {"route": V4_DEFAULT}, None),
        ("up", {"ipv6_route": V6_DEFAULT}, None),
        ("up", {"route": V4, "ipv6_route": V6_DEFAULT}, None),
        ("down", {"route": V4_DEFAULT}, Reason.NETWORK_ABSENT),
        ("up", {"route": V4_LOCAL}, Reason.NETWORK_ABSENT),
        ("up", {"route": V4}, Reason.NETWORK_ABSENT),
        ("up", {"route": V4_DEFAULT.replace("wlan0", "lo")}, Reason.NETWORK_ABSENT),
        ("up", {"route": V4_DEFAULT.replace("wlan0", "..")}, Reason.NETWORK_ABSENT),
    ],
)
def test_a_network_is_a_default_route_that_is_up(
    tmp_path: Path, state: str, tables: dict[str, Any], found: Reason | None
) -> None:
    assert reason(network(tmp_path, state, **tables)) is found


def test_no_routes_at_all_is_nothing_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        network(tmp_path).look()


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("no", None),
        ("no (guessed)", None),
        ("yes", Reason.NETWORK_METERED),
        ("yes (guessed)", Reason.NETWORK_METERED),
        ("unknown", MissingError),
        ("", MissingError),
    ],
)
def test_a_metered_network_is_what_network_manager_says(
    tmp_path: Path, told: str, found: Reason | type[MissingError] | None
) -> None:
    asked: list[str] = []

    def ask(interface: str) -> str:
        asked.append(interface)
        return told

    sensor = network(tmp_path, ask=ask, route=V4_DEFAULT)

    if found is MissingError:
        with pytest.raises(MissingError):
            sensor.look()
    else:
        assert reason(sensor) is found
    assert asked == ["wlan0"]


def nmcli(folder: Path, body: str) -> None:
    path = folder / "nmcli"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    return lambda body: nmcli(tmp_path, body)


def test_nmcli_is_asked_about_the_interface(on_path: Callable[[str], None]) -> None:
    with pytest.raises(MissingError, match="no nmcli"):
        ask_nmcli("wlan0")

    on_path('echo "$@"')
    assert ask_nmcli("wlan0") == "-g GENERAL.METERED device show wlan0"

    on_path("exit 3")
    with pytest.raises(MissingError, match=subprocess.CalledProcessError.__name__):
        ask_nmcli("wlan0")
