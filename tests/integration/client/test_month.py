"""A watched folder, and no server for a month: as cron would run it, day after day."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from flwr.app import Context, RecordDict
from tests.unit.client.world import first_cut, whole_cut

from fedask.client.deployment import open_device
from fedask.client.learner import Learner
from fedask.client.queue import Origin, State
from fedask.client.setting import Setting
from fedask.client.site.lookout import Lookout
from fedask.client.site.site import Site
from fedask.client.sources.reader import uid_of
from fedask.client.testing import FakeClock
from fedask.client.verdict import Label
from fedask.common.config import Scenario
from fedask.common.ids import Uid
from fedask.common.records import Ask, Cut, Report
from fedask.common.task import Task
from fedask.common.weights import model_version

FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
PER_DAY, DAYS, CAPACITY = 12, 30, 3
PROJECT = f"""
[tool.flwr.app.config]
seed = 3
[tool.flwr.app.config.task]
name = "month_task:task"
[tool.flwr.app.config.ask]
capacity = {CAPACITY}
initial = {CAPACITY}
[tool.flwr.app.config.train]
rounds = 2
steps = 2
[tool.flwr.app.config.stream]
controller = "biqf"
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
    """A device's folder, its data, its people, and the server's side of its rounds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "app").mkdir()
        (folder / "app" / "pyproject.toml").write_text(PROJECT)
        (folder / "app" / "month_task.py").write_text(TASK)
        (folder / "device.toml").write_text(DEVICE)
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
            self.truth[uid_of(content)] = label

    def process(self, now: datetime) -> Site:
        return Site.at(self.folder, FakeClock(now))

    def people(self, now: datetime, most: int) -> int:
        with self.process(now) as site:
            leases = site.desk.lease("ann", most)
            for lease in leases:
                said = Label(self.truth[lease.uid])
                site.desk.submit("ann", lease.uid, lease.token, said, f"k{lease.uid}")
            site.desk.release("ann")
        return len(leases)

    def round(
        self, cycle: int, step: int, cut: Cut | None = None, *, score: bool = False
    ) -> Report:
        """Send one train message."""
        task, scenario = self.setting()
        learner = Learner(task, scenario.train)
        state = task.build(scenario.seed).state_dict()
        model = {name: tensor.numpy().copy() for name, tensor in state.items()}
        learner.load(model)
        version = model_version(model)
        ask = Ask(cycle=cycle, step=step, cut=cut, score=version if score else "")
        context = Context(1, 2, {"site": str(self.folder)}, RecordDict(), {})
        with open_device(task, scenario, context) as device:
            begun = device.begin(Setting(task, scenario, learner), ask, prox=0.0)
            trained = None if begun.lesson is None else learner.train(begun.lesson)
            return device.finish(begun, trained).report

    def setting(self) -> tuple[Task, Scenario]:
        with self.process(FIRST) as site:
            return site.task, site.scenario

    def version(self) -> str:
        task, scenario = self.setting()
        state = task.build(scenario.seed).state_dict()
        return model_version({n: t.numpy().copy() for n, t in state.items()})


def test_a_month_alone_keeps_to_the_budget_and_catches_up(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(40, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    answered = ward.people(FIRST, 10)
    ward.round(1, 1, score=True)
    ward.round(2, 0, whole_cut(2, ward.version(), groups=2))
    with ward.process(FIRST) as site:
        before = {item.uid for item in site.store.items()}
    asked: list[int] = []
    for day in range(1, DAYS + 1):
        now = FIRST + timedelta(days=day)
        ward.arrive(PER_DAY, now)
        with ward.process(now) as site:  # `fedask device run-once`, from cron
            looked = Lookout(site).look()
        # The first look finds what nobody asked before; later ones only what is new.
        assert looked.new == PER_DAY + (40 - len(before)) * (day == 1)
        assert looked.samples == 40 + PER_DAY * day
        asked.append(looked.asked)
        with ward.process(now) as site:
            assert Lookout(site).look().new == 0
        answered += ward.people(now, 2)

    assert max(asked) <= CAPACITY
    assert sum(asked) >= DAYS  # a budget is there to be used
    with ward.process(FIRST + timedelta(days=DAYS)) as site:
        items = site.store.items()
    alone = [item for item in items if item.uid not in before]
    assert len(alone) == sum(asked)
    assert {item.origin for item in alone} <= {Origin.SCORE, Origin.CHANCE}

    report = ward.round(2, 1)

    assert report.asked == len(items)
    assert report.answered == answered == sum(report.class_counts)
    with ward.process(FIRST + timedelta(days=DAYS)) as site:
        states = Counter(item.state for item in site.store.items())
        right = [i for i in site.store.items() if i.label is not None]
    assert states[State.TRAINED] == answered
    assert all(item.label == ward.truth[item.uid] for item in right)
