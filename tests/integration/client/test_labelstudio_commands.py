"""``fedask device export``, ``import``, ``push`` and ``pull``."""

import csv
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

from fedask.client.data.sources.indexed_source import IndexedSource
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


def run(name: str, *args: object, code: int = 0) -> Any:  # noqa: ANN401  (JSON)
    result = CliRunner().invoke(app, ["device", name, *map(str, args), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return json.loads(result.stdout)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


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


def test_good_lines_are_kept_bad_ones_listed_and_the_exit_code_says_so(
    folder: Path,
) -> None:
    run("export", folder / "queue.csv", "--queue", "--site", folder)
    uids = [row["uid"] for row in rows_of(folder / "queue.csv")]
    path = folder / "said.csv"
    lines = ["uid;label;annotator", *(f"{uid};cat;ann" for uid in uids)]
    lines[2] = f"{uids[1]};dragon;ann"
    path.write_text("\n".join([*lines, f"{'f' * 32};dog;bob"]))

    told = run("import", path, "--site", folder, code=3)

    assert (told["kept"], told["aside"]) == (2, 2)
    places = [each["where"] for each in told["asides"]]
    assert places == ["line 3", f"line 5, {'f' * 32}"]
    assert "'dragon' is not a class" in told["asides"][0]["reason"]
    path.write_text("\n".join([lines[0], lines[1]]))
    assert run("import", path, "--site", folder)["known"] == 1


def test_a_task_without_its_uid_is_told_and_the_exit_code_says_so(
    folder: Path,
) -> None:
    path = folder / "a.json"
    path.write_text(json.dumps([{"id": 1, "data": {}, "annotations": []}]))

    told = run("import", path, "--site", folder, code=3)

    assert told["asides"][0]["where"] == "task 0"
    assert "meta.uid" in told["asides"][0]["reason"]
    plain = CliRunner().invoke(
        app, ["device", "import", str(path), "--site", str(folder)]
    )
    assert plain.exit_code == 3
    assert "set aside: task 0: has no meta.uid" in plain.output


def test_answers_and_what_waits_are_told_with_the_files_they_are_of(
    folder: Path,
) -> None:
    with DeviceFolder.open(folder, "command", FakeClock(NOON)) as site:
        source = site.open_data()
        assert isinstance(source, IndexedSource)
        files = {
            uid: name.file
            for uid, name in source.names(set(source.uids().tolist())).items()
        }
    queue = folder / "queue.csv"
    assert run("export", queue, "--queue", "--site", folder) == {
        "samples": 3,
        "aside": 0,
        "asides": [],
    }
    waiting = rows_of(queue)
    assert {row["uid"]: row["file"] for row in waiting} == files
    assert sorted(files.values()) == ["0.ppm", "1.ppm", "2.ppm"]
    for row in waiting:
        row |= {"label": "cat", "annotator": "ann"}
    with queue.open("w", newline="") as file:
        writer = csv.DictWriter(file, waiting[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(waiting)
    assert run("import", queue, "--site", folder)["kept"] == 3

    run("export", folder / "answers.csv", "--site", folder)

    answers = rows_of(folder / "answers.csv")
    assert {row["uid"]: row["file"] for row in answers} == files


def test_answers_leave_also_where_the_data_are_not_there(folder: Path) -> None:
    run("export", folder / "queue.csv", "--queue", "--site", folder)
    (folder / "photos").rename(folder / "moved")

    plain = CliRunner().invoke(
        app,
        ["device", "export", str(folder / "b.csv"), "--queue", "--site", str(folder)],
    )

    assert plain.exit_code == 0, plain.output
    assert "files and ids are left out" in plain.output
    assert [row["file"] for row in rows_of(folder / "b.csv")] == ["", "", ""]


def test_a_table_of_label_studio_is_refused_with_what_to_do(folder: Path) -> None:
    path = folder / "project.csv"
    path.write_text('"annotation_id","annotator","created_at","id","label"\n')

    with pytest.raises(Exception, match="does not say its samples: export it as JSON"):
        run("import", path, "--site", folder)
