"""What answers bought: from the server's held-out data to the device's page."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import Context
from tests.support.client.clock import FakeClock
from tests.support.client.folders import open_folder, write_app
from tests.support.client.site import free_port, running
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import Script, first_cut
from tests.support.server.runs import DEVICES, small
from typer.testing import CliRunner

from fedask.client.app import client_app
from fedask.client.cli.status import _since, status_of
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.web.hints import StoreGains
from fedask.client.records.label_queue import ItemState
from fedask.client.records.milestone import Milestone
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device
from fedask.client.site.device_page import page_of_device, page_settings
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.command_line import app
from fedask.common.config import Scenario
from fedask.common.ids import Uid
from fedask.common.task import Task
from fedask.server.app import server_app
from fedask.simulations.fleet.devices import device_name, shares_of
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.runtimes.inline import run as run_inline
from fedask.simulations.runtimes.runtime import Apps

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
CYCLES, ROUNDS = 4, 2


class DatedFleet:
    """Devices with a file each, and a cycle every four days."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(START)
        self.messages: dict[int, int] = {}

    def path(self, index: int) -> Path:
        return self.folder / f"{index}.db"

    @contextmanager
    def open(
        self,
        task: Task,  # noqa: ARG002
        scenario: Scenario,
        context: Context,
    ) -> Iterator[Device]:
        index = int(str(context.node_config["partition-id"]))
        number = self.messages.get(index, 0)
        self.messages[index] = number + 1
        self.clock.time = START + 4 * DAY * (number // ROUNDS)
        shares = shares_of(scenario)
        rows = shares.rows[index]
        uids = [Uid(uid) for uid in shares.uids[rows].tolist()]
        truth = shares.data.train_y[rows].tolist()
        with closing(SqliteStore(self.path(index))) as store:
            yield Device(
                device_id=device_name(index),
                pool=Pool(ArraySource(shares.data.train_x, rows, shares.uids)),
                store=store,
                oracle=Script(dict(zip(uids, truth, strict=True))),
                clock=self.clock,
            )


@pytest.fixture(scope="module")
def history(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DatedFleet, list[dict[str, Any]]]:
    """Play a run with real apps; the fleet, and the rows of the cycles' ends."""
    folder = tmp_path_factory.mktemp("run")
    fleet = DatedFleet(folder)
    apps = Apps(client_app(task_of, open_device=fleet.open), server_app(task_of))
    settings = {"ask.cycles": CYCLES, "ask.quota": 60, "run.evaluate": "held-out"}
    run_inline(apps, small({**settings, "run.out": str(folder / "out")}))
    account = json.loads((folder / "out" / "server.json").read_text())
    assert account["wire"]["messages"] == DEVICES * CYCLES * ROUNDS
    return fleet, [row for row in account["rows"] if "accuracy" in row]


def test_every_device_keeps_what_the_server_measured_but_for_the_last_cycle(
    history: tuple[DatedFleet, list[dict[str, Any]]],
) -> None:
    fleet, rows = history
    for index in range(DEVICES):
        with closing(SqliteStore(fleet.path(index))) as store:
            told = store.milestones.all()
            answered = sum(i.state is ItemState.TRAINED for i in store.queue.items())
        assert [(m.cycle, m.accuracy) for m in told] == [
            (row["cycle"], row["accuracy"]) for row in rows[:-1]
        ]
        assert [m.at for m in told] == [START + 4 * DAY * n for n in (1, 2, 3)]
        trained = [m.trained for m in told]
        assert trained == sorted(trained)
        assert 0 < trained[0] < trained[-1] <= answered


def test_the_page_shows_what_was_gained_since_the_model_of_a_week_ago(
    history: tuple[DatedFleet, list[dict[str, Any]]],
) -> None:
    fleet, rows = history
    points = round(100 * (rows[2]["accuracy"] - rows[0]["accuracy"]), 1)
    assert points >= 1
    clock = FakeClock(START + 12 * DAY)
    for index in range(DEVICES):
        with closing(SqliteStore(fleet.path(index))) as store:
            first, _, last = (m.trained for m in store.milestones.all())
        with StoreGains(partial(opened, fleet.path(index)), clock) as gains:
            shown = gains.gain()
        if last - first < 5:
            assert shown is None
        else:
            assert shown is not None
            assert (shown.points, shown.since) == (points, START + 4 * DAY)


def opened(path: Path) -> closing[SqliteStore]:
    return closing(SqliteStore(path))


def kept(path: Path, *accuracies: tuple[timedelta, float, int]) -> None:
    """Let a store hold milestones: (after FIRST, accuracy, trained)."""
    with closing(SqliteStore(path)) as store:
        for number, (after, accuracy, trained) in enumerate(accuracies, start=1):
            store.milestones.put(
                Milestone(
                    cycle=number, accuracy=accuracy, at=FIRST + after, trained=trained
                )
            )


def shown_by_page(folder: Path, now: datetime) -> Mapping[str, Any] | None:
    """Ask the page of a device what was gained."""
    (folder / "scans").mkdir()
    write_app(folder, ["cat", "dog"])
    data = {"data": "scans", "kind": "images"}
    opened = open_folder(folder, {"data": data}, FakeClock(now))
    settings = page_settings(opened, free_port())
    tokens: list[str] = []
    page = page_of_device(opened, settings, tokens.append)
    address = f"http://127.0.0.1:{settings.port}"
    with running(page, settings), httpx.Client(base_url=address) as http:
        http.get(f"/?token={tokens[-1]}")
        told: Mapping[str, Any] = http.get("/api/progress").json()
    gain: Mapping[str, Any] | None = told["gain"]
    return gain


def test_the_page_of_a_device_tells_gains_of_its_own(tmp_path: Path) -> None:
    kept(tmp_path / "device.db", (0 * DAY, 0.81, 3), (2 * DAY, 0.84, 8))

    assert shown_by_page(tmp_path, FIRST + 2 * DAY) == {
        "measure": "accuracy",
        "points": 3.0,
        "since": FIRST.isoformat(),
    }


def test_the_page_says_nothing_of_a_loss(tmp_path: Path) -> None:
    kept(tmp_path / "device.db", (0 * DAY, 0.84, 3), (2 * DAY, 0.81, 8))

    assert shown_by_page(tmp_path, FIRST + 2 * DAY) is None


def test_a_deployed_device_keeps_what_it_is_told_and_status_says_so(
    tmp_path: Path,
) -> None:
    ward = Ward(tmp_path)
    ward.arrive(10, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    assert ward.people(FIRST, CAPACITY) == CAPACITY
    before = datetime.now(UTC)
    ward.round(2, 0, accuracy=0.5)
    ward.round(2, 1)
    ward.round(3, 0, accuracy=0.4375)

    with ward.process(before + DAY) as site:
        told = status_of(site)["accuracy"]
        milestones = site.store.milestones.all()

    assert [m.trained for m in milestones] == [0, CAPACITY]
    assert before <= milestones[0].at <= milestones[1].at
    assert told == {
        "last": 0.4375,
        "told": milestones[1].at.isoformat(),
        "change": {
            "points": -6.2,
            "since": milestones[0].at.isoformat(),
            "answers": CAPACITY,
            "shown": False,
        },
    }


def test_nothing_is_said_of_a_run_by_what_another_reached(tmp_path: Path) -> None:
    first, second = "0" * 16, "1" * 16
    ward = Ward(tmp_path)
    ward.arrive(4, FIRST)
    for cycle in (2, 3, 4):
        ward.round(cycle, 0, accuracy=0.6, run=first)
    ward.round(5, 0, accuracy=0.875, run=second)

    assert json.loads(status(tmp_path, "--json"))["accuracy"]["change"] is None
    assert "since" not in status(tmp_path)


def test_since_when_is_told_by_the_calendar() -> None:
    here = datetime(2026, 3, 2, 14).astimezone()

    assert _since(here.replace(hour=0, minute=1).isoformat(), here) == (
        "since 00:01 today"
    )
    assert _since((here - DAY).isoformat(), here) == "since 2026-03-01"


def status(folder: Path, *options: str) -> str:
    arguments = ["device", "status", "--site", str(folder), *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_status_before_anything_was_told(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(4, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))

    assert json.loads(status(tmp_path, "--json"))["accuracy"] is None
    assert "not told by the server" in status(tmp_path)


def test_status_in_words(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(4, FIRST)
    ward.round(2, 0, accuracy=0.5)
    ward.round(3, 0, accuracy=0.625)
    with ward.process(FIRST) as site:
        told = [m.at.astimezone() for m in site.store.milestones.all()]

    said = status(tmp_path)

    assert f"62.5 %, told on {told[-1]:%Y-%m-%d}" in said
    assert f"since {told[0]:%H:%M} today" in said
    assert "+12.5 points, 0 answers of this device trained on" in said
