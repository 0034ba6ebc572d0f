"""``fedask device export``, ``import``, ``push``, ``pull``: what the audit log says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.client.audits import NOON, rows
from tests.support.client.clock import FakeClock
from tests.support.client.fake_studio import (
    PERSONAL,
    PROJECT,
    FakeStudio,
    fake_studio,
)
from typer.testing import CliRunner

from fedask.client.labelling.labelstudio.studio_address import TOKEN_VARIABLE
from fedask.client.records.annotation import Label
from fedask.client.records.audit_event import Event
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.store.audit.audit_check import verify
from fedask.common.command_line import app
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid

APP = '[tool.flwr.app.config.task]\nname = "ward_exchange_task:task"\n'
TASK = "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'])\n"
DEVICE = """
device = "ward-3"
app = "app"
rights = "open"
[data]
data = "data"
kind = "texts"
column = "text"
"""
LETTER = "a letter about a patient"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site with three texts; one of them was answered."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(APP)
    (tmp_path / "app" / "ward_exchange_task.py").write_text(TASK)
    (tmp_path / "data").mkdir()
    lines = ["text", *(f"{LETTER} {number}" for number in range(3))]
    (tmp_path / "data" / "letters.csv").write_text("\n".join(lines))
    (tmp_path / "device.toml").write_text(DEVICE)
    with opened(tmp_path) as site:
        site.store.queue.add(1, [Uid(uid) for uid in site.pool.uids.tolist()])
        (lease,) = site.desk.lease("ann", 1)
        site.desk.submit("ann", lease.uid, lease.token, Label(1), "a key")
    return tmp_path


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStudio]:
    monkeypatch.setenv(TOKEN_VARIABLE, PERSONAL)
    with fake_studio() as found:
        yield found


def opened(folder: Path) -> DeviceFolder:
    return DeviceFolder.open(folder, "command", FakeClock(NOON))


def run(folder: Path, *args: object) -> None:
    told = ["device", *map(str, args), "--site", str(folder)]
    result = CliRunner().invoke(app, told)
    if result.exception is not None:
        raise result.exception


def logged(folder: Path, event: Event) -> list[dict[str, Any]]:
    """Return what the log says of an event; all of it is sound and tells no secret."""
    path = folder / "device.db"
    assert verify(path, key=None).ok
    found = [(event, body) for _, _, event, body, *_ in rows(path)]
    secret = re.compile(rf"{LETTER}|\bann\b")
    assert not [body for _, body in found if secret.search(body)]
    return [json.loads(body) for word, body in found if word == event]


def test_tasks_that_leave_in_a_file_are_counted_in_the_log(folder: Path) -> None:
    run(folder, "export", folder / "tasks.json")

    assert LETTER in (folder / "tasks.json").read_text()
    assert logged(folder, Event.EXPORTED) == [{"aside": 0, "tasks": 2, "to": "file"}]


def test_annotations_that_leave_in_a_table_are_counted_in_the_log(folder: Path) -> None:
    run(folder, "export", folder / "said.csv")

    assert logged(folder, Event.EXPORTED) == [{"to": "table", "annotations": 1}]


def test_what_comes_in_is_counted_in_the_log_each_time(
    folder: Path, tmp_path: Path
) -> None:
    with opened(folder) as site:
        waiting = [uid for uid, _ in site.store.annotations.waiting()]
    rows = [f"{waiting[0]},cat,bob", f"{'f' * 32},dog,bob"]
    path = tmp_path / "said.csv"
    path.write_text("\n".join(["uid,label,annotator", *rows]))

    for _ in range(2):
        with pytest.raises(SystemExit):  # one line was set aside
            run(folder, "import", path)

    first = {"aside": 1, "kept": 1, "known": 0, "late": 0}
    again = {"aside": 1, "kept": 0, "known": 1, "late": 0}
    assert logged(folder, Event.IMPORTED) == [first, again]


def test_a_file_that_is_refused_leaves_no_import_in_the_log(folder: Path) -> None:
    (folder / "said.csv").write_text("uid,class,annotator\nnothing,dragon,bob\n")

    with pytest.raises(DataError):
        run(folder, "import", folder / "said.csv")

    assert logged(folder, Event.IMPORTED) == []


def test_a_server_on_the_site_leaves_both_ways_in_the_log(
    folder: Path, studio: FakeStudio
) -> None:
    run(folder, "push", studio.url, PROJECT)
    value = {"choices": ["dog"]}
    chosen = {"from_name": "label", "to_name": "show_text", "type": "choices"}
    studio.annotate(studio.uids()[0], result=[{**chosen, "value": value}])
    run(folder, "pull", studio.url, PROJECT, "--person", "1=bob")

    assert logged(folder, Event.EXPORTED) == [{"aside": 0, "tasks": 2, "to": "studio"}]
    (told,) = logged(folder, Event.IMPORTED)
    assert told == {"aside": 0, "kept": 1, "known": 0, "late": 0}


def test_a_server_without_the_project_leaves_no_export_in_the_log(
    folder: Path, studio: FakeStudio
) -> None:
    with pytest.raises(ConfigError):
        run(folder, "push", studio.url, PROJECT + 1)

    assert logged(folder, Event.EXPORTED) == []
