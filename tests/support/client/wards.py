"""A device with real settings, data that arrive, people, and a server beside it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tests.support.client.clock import FakeClock

from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.learner import Learner
from fedask.client.records.annotation import Label
from fedask.client.round.device import RoundOutcome
from fedask.client.site.deployment import open_device
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.eligibility.sensors.machine import MACHINE, Machine
from fedask.common.arrays import model_version
from fedask.common.config import Scenario
from fedask.common.cut import Cut
from fedask.common.ids import Uid, bytes_uid
from fedask.common.records import Ask, Report
from fedask.common.task import Task

FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
CAPACITY = 3
PROJECT = """
[tool.flwr.app.config]
seed = 3
[tool.flwr.app.config.task]
name = "month_task:task"
[tool.flwr.app.config.ask]
capacity = {capacity}
initial = {capacity}
[tool.flwr.app.config.train]
rounds = 2
steps = 2
[tool.flwr.app.config.stream]
controller = "{controller}"
explore = 0.2
period_s = 86400.0
"""
TASK = """
from fedask.common import Task
task = Task(classes=["dark", "light"], model="linear", input_shape=(3, 4, 4))
"""
DEVICE = """
device = "ward-3"
app = "app"
rights = "open"
[data]
data = "photos"
"""


class Ward:
    """A device's folder, its data, its people, and the server's side of its rounds.

    Parameters
    ----------
    settings
        More of ``device.toml``.
    stream
        ``stream.controller`` of the app.
    """

    def __init__(
        self, folder: Path, *, settings: str = "", stream: str = "biqf"
    ) -> None:
        self.folder = folder
        (folder / "app").mkdir()
        (folder / "app" / "pyproject.toml").write_text(
            PROJECT.format(capacity=CAPACITY, controller=stream)
        )
        (folder / "app" / "month_task.py").write_text(TASK)
        (folder / "device.toml").write_text(DEVICE + settings)
        self.photos = folder / "photos"
        self.photos.mkdir()
        self.truth: dict[Uid, int] = {}
        self.rng = np.random.default_rng(4)

    def arrive(self, count: int, now: datetime) -> None:
        for _ in range(count):
            label = int(self.rng.integers(2))
            pixels = self.rng.integers(0, 150, (4, 4, 3), dtype=np.uint8)
            pixels += np.uint8(80 * label)
            content = b"P6 4 4 255\n" + pixels.tobytes()
            path = self.photos / f"{len(self.truth)}.ppm"
            path.write_bytes(content)
            long_ago = (now - timedelta(hours=1)).timestamp()
            os.utime(path, (long_ago, long_ago))  # nobody writes to it any more
            self.truth[bytes_uid(content)] = label

    def process(self, now: datetime, machine: Machine = MACHINE) -> DeviceFolder:
        return DeviceFolder.open(self.folder, "command", FakeClock(now), machine)

    def people(self, now: datetime, most: int) -> int:
        with self.process(now) as site:
            leases = site.desk.lease("ann", most)
            for lease in leases:
                said = Label(self.truth[lease.uid])
                site.desk.submit("ann", lease.uid, lease.token, said, f"k{lease.uid}")
            site.desk.release("ann")
        return len(leases)

    def round(
        self,
        cycle: int,
        step: int,
        cut: Cut | None = None,
        *,
        score: bool = False,
        accuracy: float | None = None,
        run: str = "",
    ) -> Report:
        """Send one train message; return the report of the reply."""
        return self.sent(
            cycle, step, cut, score=score, accuracy=accuracy, run=run
        ).report

    def sent(
        self,
        cycle: int,
        step: int,
        cut: Cut | None = None,
        *,
        score: bool = False,
        accuracy: float | None = None,
        run: str = "",
    ) -> RoundOutcome:
        """Send one train message; return all that the reply is made of."""
        task, scenario = self.task, self.scenario
        learner, version = self.loaded(), self.version()
        ask = Ask(
            cycle=cycle,
            step=step,
            cut=cut,
            score=version if score else "",
            accuracy=accuracy,
            run=run,
        )
        with (
            DeviceFolder.open(self.folder, "round") as opened,
            open_device(opened, task) as device,
        ):
            begun = device.begin(RunContext(task, scenario, learner), ask, prox=0.0)
            trained = None if begun.job is None else learner.train(begun.job)
            return device.finish(begun, trained)

    @property
    def task(self) -> Task:
        with self.process(FIRST) as site:
            return site.task

    @property
    def scenario(self) -> Scenario:
        with self.process(FIRST) as site:
            return site.scenario

    def model(self) -> dict[str, np.ndarray]:
        state = self.task.build(self.scenario.seed).state_dict()
        return {name: tensor.numpy().copy() for name, tensor in state.items()}

    def loaded(self) -> Learner:
        learner = Learner(self.task, self.scenario.train)
        learner.load(self.model())
        return learner

    def version(self) -> str:
        return model_version(self.model())
