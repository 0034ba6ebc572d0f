import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.world import SAMPLES
from tests.unit.client.site.eligibility.test_sensors import LAPTOP, tree
from typing_extensions import override

from fedask.client.data.rights.sample_rights import PermittedSource
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.records.pool import Pool
from fedask.client.site.eligibility.eligibility_settings import (
    NAMES,
    EligibilitySettings,
)
from fedask.client.site.eligibility.guard import (
    STUCK_S,
    Eligibility,
    EligibilityGuard,
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
    Watched,
)
from fedask.client.site.eligibility.sensors.machine import (
    Machine,
    make_eligibility,
    make_guard,
)
from fedask.common.errors import ConfigError, UnavailableError
from fedask.common.settings import build

HOT = Obstacle(reason=Reason.TOO_HOT, sentence="it is 91 °C hot")


class Told(EligibilitySensor):
    """A sensor that says what it is told to."""

    name = "told"

    def __init__(self, says: Callable[[], Obstacle | None]) -> None:
        self.says = says
        self.looked = threading.Semaphore(0)

    @override
    def look(self) -> Obstacle | None:
        try:
            return self.says()
        finally:
            self.looked.release()

    def wait(self) -> None:
        assert self.looked.acquire(timeout=10)


def missing() -> Obstacle | None:
    msg = "no such thing"
    raise MissingError(msg)


def failing() -> Obstacle | None:
    nothing: dict[str, Obstacle] = {}
    return nothing["secret"]


def codes(says: Callable[[], Obstacle | None], *, required: bool) -> list[Reason]:
    eligibility = Eligibility([Watched(sensor=Told(says), required=required)])
    return [obstacle.reason for obstacle in eligibility.look()]


@pytest.mark.parametrize("says", [missing, failing])
def test_a_required_sensor_that_cannot_tell_counts_against_the_device(
    says: Callable[[], Obstacle | None],
) -> None:
    assert codes(says, required=True) == [Reason.SENSOR_MISSING]
    assert codes(says, required=False) == []


@pytest.mark.parametrize("required", [True, False])
def test_a_sensor_that_can_tell_is_obeyed(*, required: bool) -> None:
    assert codes(lambda: HOT, required=required) == [Reason.TOO_HOT]
    assert codes(lambda: None, required=required) == []


def test_only_codes_leave_the_device_and_what_was_read_is_in_its_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    both = Eligibility(
        [Watched(sensor=Told(lambda: HOT)), Watched(sensor=Told(failing))]
    )

    with pytest.raises(UnavailableError) as caught:
        both.refuse()

    assert str(caught.value) == "not eligible: sensor-missing, too-hot"
    assert "it is 91 °C hot" in caplog.text
    assert "secret" not in caplog.text


def test_codes_never_change() -> None:
    assert [reason.value for reason in Reason] == [
        "not-plugged",
        "battery-low",
        "cpu-busy",
        "memory-low",
        "disk-low",
        "network-absent",
        "network-metered",
        "too-hot",
        "outside-hours",
        "sensor-missing",
        "sensor-stuck",
    ]


def test_a_guard_refuses_at_once_and_starts_nothing() -> None:
    before = threading.active_count()
    guard = EligibilityGuard(Eligibility([Watched(sensor=Told(lambda: HOT))]))

    with pytest.raises(UnavailableError, match="not eligible: too-hot"), guard:
        pytest.fail("the device is not eligible")

    assert threading.active_count() == before


def test_a_guard_without_sensors_stops_nothing_and_starts_nothing() -> None:
    before = threading.active_count()
    with EligibilityGuard(Eligibility()) as guard:
        assert threading.active_count() == before
        guard.check()


def test_a_guard_stops_the_work_when_a_sensor_flips_and_stays_so() -> None:
    now: list[Obstacle | None] = [None]
    sensor = Told(lambda: now[0])
    with EligibilityGuard(Eligibility([Watched(sensor=sensor)]), 0.01) as guard:
        sensor.wait()
        guard.check()
        now[0] = HOT
        assert guard._thread is not None
        guard._thread.join(10)
        now[0] = None

        for _ in range(2):
            with pytest.raises(UnavailableError, match="not eligible: too-hot"):
                guard.check()


def test_the_thread_of_a_guard_ends_with_it() -> None:
    sensor = Told(lambda: None)
    with EligibilityGuard(Eligibility([Watched(sensor=sensor)]), 0.01) as guard:
        sensor.wait()
        thread = guard._thread

    assert thread is not None
    assert not thread.is_alive()


def test_a_sensor_that_hangs_stops_the_work() -> None:
    hanging, seconds = threading.Event(), [0.0]
    looks: list[int] = []

    def says() -> None:
        looks.append(1)
        if len(looks) > 1:
            hanging.wait(20)

    sensor = Told(says)
    with EligibilityGuard(
        Eligibility([Watched(sensor=sensor)]), 0.01, lambda: seconds[0]
    ) as guard:
        seconds[0] = STUCK_S
        guard.check()
        seconds[0] = STUCK_S + 0.02
        with pytest.raises(UnavailableError, match="not eligible: sensor-stuck"):
            guard.check()
        hanging.set()


def test_samples_are_loaded_while_the_device_is_eligible() -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) > 2:
            msg = "not eligible"
            raise UnavailableError(msg)

    allowed = np.ones(len(SAMPLES), dtype=np.bool_)
    pool = Pool(PermittedSource(ArraySource(SAMPLES), allowed, check))

    with pytest.raises(UnavailableError):
        list(pool.batches([], 10))
    assert len(asked) == 3


FULL: dict[str, Any] = {
    "plugged": True,
    "battery_min": 40,
    "cpu_max": 50,
    "memory_min_mb": 100,
    "disk_min_mb": 1,
    "network": "unmetered",
    "temperature_max": 80,
    "hours": "22:00-06:00",
    "zone": "Europe/Berlin",
    "prefer": "battery, temperature",
    "interval_s": 0.5,
}


def test_every_setting_is_read() -> None:
    settings = build(EligibilitySettings, FULL)

    assert settings.wanted == frozenset(NAMES)
    assert settings.preferred == {"battery", "temperature"}
    assert (settings.interval_s, settings.battery_min) == (0.5, 40)


def test_nothing_set_asks_for_nothing() -> None:
    assert EligibilitySettings().wanted == frozenset()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"batery_min": 40}, "did you mean 'battery_min'"),
        ({"battery_min": "40"}, "must be of type int"),
        ({"battery_min": True}, "must be of type int"),
        ({"battery_min": 40.0}, "must be of type int"),
        ({"battery_min": 101}, "must be 1 to 100"),
        ({"battery_min": -1}, "must be 1 to 100"),
        ({"battery_min": 0}, "asks for nothing: leave it out"),
        ({"plugged": False}, "asks for nothing: leave it out"),
        ({"plugged": 1}, "must be of type bool"),
        ({"cpu_max": 101}, "must be 1 to 100"),
        ({"network": "metered"}, "must be any or unmetered"),
        ({"temperature_max": float("nan")}, "must be 1 to 120"),
        ({"interval_s": 5}, "must be 0.1 to 1.5"),
        ({"hours": "22:00-06:00"}, "zone = '': must be a time zone"),
        (
            {"hours": "22:00-06:00", "zone": "Europe/Brlin"},
            "must be a time zone",
        ),
        ({"hours": "22-6", "zone": "UTC"}, "must be as 22:00-06:00"),
        (
            {"hours": "22:00-22:00", "zone": "UTC"},
            "two different times",
        ),
        ({"zone": "UTC"}, "must be as 22:00-06:00"),
        ({"prefer": "battery"}, "no such sensor is asked for"),
        (
            {"cpu_max": 9, "prefer": "cup"},
            "did you mean 'cpu'",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_refused(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        build(EligibilitySettings, table)


def test_a_machine_that_tells_nothing_is_refused_unless_that_is_preferred(
    tmp_path: Path,
) -> None:
    settings = EligibilitySettings(battery_min=40, temperature_max=70.0)
    machine = Machine(power=tmp_path, thermal=tmp_path)

    found = make_eligibility(settings, tmp_path, machine).look()
    assert [obstacle.reason for obstacle in found] == [Reason.SENSOR_MISSING] * 2
    assert "battery: no battery tells" in found[0].sentence

    some = replace(settings, prefer="battery")
    assert len(make_eligibility(some, tmp_path, machine).look()) == 1
    both = replace(settings, prefer="battery,temperature")
    assert make_eligibility(both, tmp_path, machine).look() == ()


def test_the_guard_of_a_device_looks_at_its_machine(tmp_path: Path) -> None:
    machine = Machine(power=tree(tmp_path, **LAPTOP))
    settings = EligibilitySettings(battery_min=60, disk_min_mb=1)

    with make_guard(settings, tmp_path, machine) as guard:
        guard.check()
    with (
        pytest.raises(UnavailableError, match=r"not eligible: not-plugged$"),
        make_guard(replace(settings, plugged=True), tmp_path, machine),
    ):
        pytest.fail("it runs on its battery")
