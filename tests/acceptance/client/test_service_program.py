"""The labelling service as its owner starts it."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from fedask.client.labelling.grpc.client import LabellingClient
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

UID = Uid("a" * 32)
SITE = """
device = "ward-3"
app = "app"
rights = "open"
[data]
data = "notes"
kind = "documents"
[service]
guidelines = "guidelines.txt"
address = "127.0.0.1:0"
token = "token"
annotators = ["ann"]
"""
PROJECT = """
[tool.flwr.app.config.task]
name = "ward_task:task"
"""
COMMAND = [sys.executable, "-m", "fedask.common.command_line"]
COMMAND += ["device", "serve", "--grpc", "--site"]


def made(folder: Path, settings: str = SITE) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "pyproject.toml").write_text(PROJECT)
    (folder / "app" / "ward_task.py").write_text(
        "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'])\n"
    )
    (folder / "notes").mkdir()
    (folder / "notes" / "1.txt").write_text("a note")
    (folder / "guidelines.txt").write_text("Look twice.")
    (folder / "device.toml").write_text(settings)


def started(folder: Path) -> subprocess.Popen[str]:
    made(folder)
    return subprocess.Popen(  # noqa: S603  (our own program)
        [*COMMAND, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_owner_starts_the_service_an_app_answers_and_the_log_names_nobody(
    tmp_path: Path,
) -> None:
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        store.queue.add(1, [UID])
    with started(tmp_path) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("listening at 127.0.0.1:")
        address = said.split()[-1]
        with LabellingClient(address, "ann", token=tmp_path / "token") as client:
            assert client.describe().guidelines == "Look twice."
            (sample,) = client.lease(1)
            receipt = client.label(sample, "dog", key="a-key")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "stopped" in log
    for secret in (UID, sample.token, "a-key", "ann", "dog", "token"):
        assert secret not in log
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        assert store.annotations.newest(9, None)[0].number == receipt.number


def test_wrong_settings_are_told_in_one_line(tmp_path: Path) -> None:
    made(tmp_path, SITE.replace("127.0.0.1:0", "192.168.1.7:1"))
    done = subprocess.run(  # noqa: S603  (our own program)
        [*COMMAND, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "address 192.168.1.7:1 is beyond" in done.stderr
