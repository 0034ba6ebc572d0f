"""The labelling service as its owner starts it."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from fedask.client.service.client import LabellingClient
from fedask.client.store import SqliteStore
from fedask.common.ids import Uid

UID = Uid("a" * 32)
PLAN = """
store = "device.db"
app = "."
task = "ward_task:task"
guidelines = "guidelines.txt"
address = "127.0.0.1:0"
token = "token"
annotators = ["ann"]
"""


def started(folder: Path) -> subprocess.Popen[str]:
    (folder / "ward_task.py").write_text(
        "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'])\n"
    )
    (folder / "guidelines.txt").write_text("Look twice.")
    (folder / "service.toml").write_text(PLAN)
    command = [sys.executable, "-m", "fedask.client.service"]
    return subprocess.Popen(  # noqa: S603  (our own program)
        [*command, str(folder / "service.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_owner_starts_the_service_an_app_answers_and_the_log_names_nobody(
    tmp_path: Path,
) -> None:
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        store.add(1, [UID])
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
        assert store.verdicts(9, None)[0].number == receipt.number


def test_a_wrong_file_is_told_in_one_line(tmp_path: Path) -> None:
    plan = tmp_path / "service.toml"
    plan.write_text(PLAN.replace("127.0.0.1:0", "192.168.1.7:1"))
    command = [sys.executable, "-m", "fedask.client.service", str(plan)]
    (tmp_path / "guidelines.txt").write_text("")
    done = subprocess.run(  # noqa: S603  (our own program)
        command, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "ConfigError: service address 192.168.1.7:1 is beyond" in done.stderr
