"""``fedask device export``, ``import``, ``push`` and ``pull``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.audits import NOON
from tests.support.client.clock import FakeClock
from tests.support.client.fake_studio import (
    PERSONAL,
    PROJECT,
    FakeStudio,
    fake_studio,
)
from typer.testing import CliRunner

from fedask.client.site.device_folder import DeviceFolder
from fedask.common.command_line import app

APP = '[tool.flwr.app.config.task]\nname = "ward_exchange_task:task"\n'
TASK = "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'])\n"
DEVICE = """
device = "ward-3"
app = "app"
rights = "open"
[data]
data = "photos"
[desk]
rule = "two"
"""
LATER = {"updated_at": NOON.isoformat()}


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    with fake_studio() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a device that has asked about three photos."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(APP)
    (tmp_path / "app" / "ward_exchange_task.py").write_text(TASK)
    (tmp_path / "photos").mkdir()
    (tmp_path / "device.toml").write_text(DEVICE)
    (tmp_path / "token").write_text(PERSONAL)
    (tmp_path / "token").chmod(0o600)
    rng = np.random.default_rng(1)
    for number in range(3):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        content = b"P6 4 4 255\n" + pixels.tobytes()
        (tmp_path / "photos" / f"{number}.ppm").write_bytes(content)
    with DeviceFolder.open(tmp_path, "command", FakeClock(NOON)) as site:
        site.store.queue.add(1, site.pool.uids.tolist())
    return tmp_path


def run(name: str, *args: object) -> Any:  # noqa: ANN401  (JSON)
    result = CliRunner().invoke(app, ["device", name, *map(str, args), "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def chosen(name: str) -> list[dict[str, Any]]:
    region = {"from_name": "label", "to_name": "show_sample", "type": "choices"}
    return [{**region, "value": {"choices": [name]}}]


def test_push_and_pull_over_a_server(fake: FakeStudio, folder: Path) -> None:
    server = [fake.url, PROJECT, "--site", folder, "--token", folder / "token"]
    assert run("push", *server) == {
        "pushed": 3,
        "present": 0,
        "aside": 0,
        "asides": [],
    }
    assert fake.overlap == 2  # as many as must agree at this desk
    uid = fake.uids()[0]
    fake.annotate(uid, result=chosen("cat"), **LATER)

    person = ["--person", "admin@site.org=ann"]
    told = run("pull", *server, *person)
    assert (told["kept"], told["deleted"], told["taken_back"]) == (1, 0, 0)

    fake.tasks[1]["annotations"].clear()
    assert run("pull", *server, *person)["deleted"] == 1
    # The same server, written another way.
    server[0] = f"{fake.url}/"
    assert run("pull", *server, *person, "--take-back")["taken_back"] == 1


def test_export_to_files_that_label_studio_can_serve(folder: Path) -> None:
    served = folder / "studio" / "ward 3"

    told = run("export", folder / "a.json", "--site", folder, "--files", served)

    assert told["tasks"] == 3
    tasks = json.loads((folder / "a.json").read_text())
    addresses = {task["data"]["sample"] for task in tasks}
    # Relative to a folder above: Label Studio serves no file of its root itself.
    names = {path.name for path in served.iterdir()}
    assert addresses == {f"/data/local-files/?d=ward%203/{name}" for name in names}


def test_a_table_of_label_studio_is_refused_with_what_to_do(folder: Path) -> None:
    path = folder / "project.csv"
    path.write_text('"annotation_id","annotator","created_at","id","label"\n')

    with pytest.raises(Exception, match="does not say its samples: export it as JSON"):
        run("import", path, "--site", folder)
