"""The tutorial in docs/device/tutorial.md: its own commands, one after the other."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.simulations.program import environment

from fedask.common.ids import bytes_uid
from fedask.simulations.runtimes.processes import Fleet, wait_until
from fedask.simulations.runtimes.superlink import free_ports

TUTORIAL = Path(__file__).parents[3] / "docs" / "device" / "tutorial.md"
PAUSE = "run.pause_s=120"
PHOTOS = 40


def blocks(kind: str) -> list[str]:
    text = TUTORIAL.read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def photos(folder: Path) -> dict[str, str]:
    """Take photos of leaves; returns which class each is of, by uid."""
    folder.mkdir()
    truth: dict[str, str] = {}
    rng = np.random.default_rng(5)
    for number in range(PHOTOS):
        ill = number % 2
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[..., 0 if ill else 1] += 150
        content = b"P6 32 32 255\n" + pixels.tobytes()
        (folder / f"{number}.ppm").write_bytes(content)
        truth[bytes_uid(content)] = "ill" if ill else "healthy"
    return truth


class Reader:
    """Somebody who types the tutorial's commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_ports(1)[0])
        home = folder / "flwr"
        home.mkdir()
        (connection,) = blocks("toml")
        (home / "config.toml").write_text(
            '[superlink]\ndefault = "local"\n' + connection.replace("9092", self.port)
        )
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = environment(
            {
                "FLWR_HOME": str(home),
                "PATH": path,
                "FLWR_TELEMETRY_ENABLED": "0",
                "NO_PROXY": "127.0.0.1",
                "OMP_NUM_THREADS": "1",
            }
        )
        logs = folder / "logs"
        logs.mkdir()
        self.fleet = Fleet(folder, logs, self.environment)

    def start(self, name: str, line: str) -> None:
        """Type a command that stays."""
        self.fleet.start(name, shlex.split(line.replace("9092", self.port)))

    def run(self, line: str, said: str = "") -> str:
        """Type a command that ends."""
        done = subprocess.run(  # noqa: S603  (our own commands)
            shlex.split(line),
            cwd=self.folder,
            env=self.environment,
            input=said,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def log(self, name: str) -> str:
        return self.fleet.path(name).read_text(errors="replace")

    def status(self) -> dict[str, int]:
        told = json.loads(self.run("fedask device status --site ward --json"))
        queue: dict[str, int] = told["queue"]
        return queue


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    found = Reader(tmp_path)
    yield found
    found.fleet.stop(10.0)


@pytest.mark.flower
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_command_of_the_tutorial_works(reader: Reader, tmp_path: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    (task,) = blocks("python")
    truth = photos(tmp_path / "photos")
    typed = iter(lines)

    reader.run(next(typed))  # fedask new
    (tmp_path / "leaves" / "leaves" / "task.py").write_text(task)
    reader.run(next(typed))  # init
    assert "WRONG" not in reader.run(next(typed))  # doctor
    reader.start("superlink", next(typed))
    reader.start("supernode", f"{next(typed)} --port {free_ports(1)[0]}")
    assert wait_until(lambda: "SuperNode ID: " in reader.log("supernode"), 60)
    line = next(typed)
    assert PAUSE in line
    reader.start("run", line.replace(PAUSE, "run.pause_s=10"))
    reader.start("page", next(typed))
    assert wait_until(lambda: "?token=" in reader.log("page"), 60)
    assert wait_until(lambda: reader.status()["queued"] == 8, 120)

    reader.run(next(typed), "healthy\nq\n")  # label
    reader.run("fedask device export waiting.csv --queue --site ward")
    with (tmp_path / "waiting.csv").open(encoding="utf-8-sig") as file:
        waiting = [row["uid"] for row in csv.DictReader(file)]
    told = "".join(f"{uid},{truth[uid]},ann\n" for uid in waiting)
    (tmp_path / "told.csv").write_text("uid,label,annotator\n" + told)
    reader.run("fedask device import told.csv --site ward")
    assert wait_until(lambda: reader.status()["trained"] >= 8, 120)

    assert "trained" in reader.run(next(typed))  # status
    for line in typed:
        reader.run(line)
    answers = (tmp_path / "answers.csv").read_text(encoding="utf-8-sig")
    assert answers.count("\n") >= 1 + 8
