"""Opens a device's folder, for the SuperNode, the page, the service and the commands.

Everything in it is opened on first use, in the thread that asks first, and closed
together; another thread opens the folder again. The task, and with it the user's code,
is imported only where it is needed.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fedask.client.data.rendering.show_options import shows_of
from fedask.client.data.rights.holdings import Holdings
from fedask.client.data.rights.rights_policy import ASK, Right, RightsPolicy
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.labelling.desk.desk import Desk
from fedask.client.records.pool import DataSource, Pool
from fedask.client.site.device_exhibit import DeviceExhibit
from fedask.client.site.device_settings import (
    FILE,
    DeviceSettings,
    read_device_settings,
)
from fedask.client.site.eligibility.guard import EligibilityGuard
from fedask.client.site.eligibility.sensors.machine import MACHINE, Machine, make_guard
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import Clock, SystemClock
from fedask.common.config import Scenario, read_scenario
from fedask.common.errors import ConfigError
from fedask.common.registry import load_attr
from fedask.common.settings import Where
from fedask.common.task import Task

if TYPE_CHECKING:
    from fedask.client.learning.selection.run_context import RunContext

SITE = "site"  # the key of --node-config


class DeviceFolder:
    """Opens what a device's settings name: task, store, index, rights, pool and desk.

    Parameters
    ----------
    role
        Who opens it: a short word for the audit log.
    clock
        For the desk, and to tell which files may still be growing.
    machine
        What the sensors of eligibility look at.
    """

    def __init__(
        self,
        path: Path,
        settings: DeviceSettings,
        role: str,
        clock: Clock,
        machine: Machine = MACHINE,
    ) -> None:
        self.path = path
        self.file = path / FILE
        self.settings = settings
        self.clock = clock
        self._role = role
        self._machine = machine
        self._opened = ExitStack()

    @classmethod
    def open(
        cls,
        path: Path,
        role: str = "command",
        clock: Clock | None = None,
        machine: Machine = MACHINE,
    ) -> "DeviceFolder":
        """Read the settings in a folder.

        Raises
        ------
        ConfigError
            As ``read_device_settings``.
        """
        settings = read_device_settings(path)
        return cls(path, settings, role, clock or SystemClock(), machine)

    def again(self, role: str) -> "DeviceFolder":
        """Return the folder for another thread or role; the two share nothing open."""
        return DeviceFolder(self.path, self.settings, role, self.clock, self._machine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario of the fleet, from the app's folder.

        Raises
        ------
        ConfigError
            If the app is missing or its settings are wrong.
        """
        try:
            return read_scenario(self.settings.app)
        except ConfigError as err:
            raise Where(self.file).error("app", f": {err}") from err

    @cached_property
    def task(self) -> Task:
        """What is learned: the user's own code, from the app's folder.

        Raises
        ------
        ConfigError
            If it does not import, or is no task.
        """
        folder = str(self.settings.app.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = self.scenario.task.name
        if ":" not in name:
            problem = f" = {name!r} must name the task of a device, as in "
            where = Where(self.settings.app / "pyproject.toml", "task")
            raise where.error("name", problem + "'my_app.task:task'")
        task = load_attr(name)
        if not isinstance(task, Task):
            raise ConfigError(
                f"{name} is a {type(task).__name__}, not a fedask.common.Task"
            )
        return task

    @cached_property
    def run(self) -> "RunContext":
        """Task and scenario, with a learner whose loaded model changes.

        Imports torch.

        Raises
        ------
        ConfigError
            If the model is none, or the labels are of other classes.
        """
        from fedask.client.learning.selection.run_context import RunContext  # noqa: PLC0415  (imports torch)
        from fedask.client.learning.training.learner import Learner  # noqa: PLC0415  (imports torch)

        self.store.classes.keep(self.task.classes)
        learner = Learner(self.task, self.scenario.train)
        return RunContext(self.task, self.scenario, learner)

    @cached_property
    def store(self) -> SqliteStore:
        """The device's file, made if missing.

        Raises
        ------
        StoreError
            If it cannot be used.
        """
        settings = self.settings
        store = settings.seal.open(settings.store, self.clock, self._role)
        return self._opened.enter_context(closing(store))

    @cached_property
    def index(self) -> Index:
        """The index of the samples in the files of the data; a file beside the store.

        Raises
        ------
        StoreError
            If it cannot be used.
        """
        path = self.settings.store
        index = Index(path.with_name(path.name + ".index"), self.store.index_key)
        return self._opened.enter_context(closing(index))

    @cached_property
    def desk(self) -> Desk:
        """The desk that gives samples to people.

        Raises
        ------
        ConfigError
            If the labels are of other classes.
        """
        self.store.classes.keep(self.task.classes)
        settings = replace(self.settings.desk, classes=self.task.num_classes)
        return Desk(self.store.annotations, self.clock, settings)

    def open_data(self, *, watch: bool = False) -> DataSource:
        """Look at the device's data as it is now.

        Parameters
        ----------
        watch
            Whether files may still be growing.

        Raises
        ------
        ConfigError, DataError, StoreError
            As ``open_source``.
        """
        look = ScanContext(
            index=self.index,
            now=self.clock.now(),
            watch=watch,
            payloads=self.store.payloads,
        )
        return open_source(self.settings.data, look, Where(self.file, "data"))

    @cached_property
    def rights(self) -> RightsPolicy | None:
        """The policy of rights; None: everything may be done with every sample.

        Raises
        ------
        ConfigError
            If the policy cannot be used.
        """
        rights = self.settings.rights
        return RightsPolicy.load(rights) if isinstance(rights, Path) else None

    def hold(self, source: DataSource) -> Holdings:
        """Tell what may be done with the samples of a source, also to the store."""
        held = Holdings(source, self.rights, self.store, self.clock.now())
        held.apply()
        return held

    @cached_property
    def held(self) -> Holdings:
        """What may be done with the device's samples as they are now."""
        _ = self.rights  # before there is a store: a policy that cannot be read
        return self.hold(self.open_data())

    @cached_property
    def pool(self) -> Pool:
        """The device's samples that may be asked, as they are now."""
        return self.held.pool(ASK)

    @cached_property
    def exhibit(self) -> DeviceExhibit:
        """The exhibit of the thread that asks first; see ``new_exhibit``."""
        return self._opened.enter_context(self.new_exhibit())

    def new_exhibit(self) -> DeviceExhibit:
        """Return an exhibit, for the thread that enters, uses and leaves it.

        Raises
        ------
        ConfigError, DataError
            If ``show`` is none that there is, or the data cannot be read.
        """
        mine = self.again("show")
        _ = mine.rights

        def look() -> Pool:
            source, now = mine.open_data(), mine.clock.now()
            return Holdings(source, mine.rights, mine.store, now).pool(Right.SHOW)

        shows = shows_of(self.settings.data)
        return DeviceExhibit(shows, look, self.clock, mine)

    def guard(self) -> EligibilityGuard:
        """Return the guard that stops the device's work as ``[eligible]`` says."""
        settings = self.settings
        return make_guard(settings.eligible, settings.store.parent, self._machine)


def folder_of(node: Mapping[str, object]) -> Path:
    """Return the folder that a SuperNode's ``--node-config`` names.

    Raises
    ------
    ConfigError
        If it names none, or says anything beside it.
    """
    for key in node:
        if key != SITE:
            raise ConfigError(
                f"--node-config {key}: say site alone; all else stands in the "
                f"folder's {FILE}"
            )
    site = node.get(SITE)
    if not isinstance(site, str) or not site:
        raise ConfigError(
            "--node-config must be 'site=\"DIR\"', DIR of `fedask device init`"
        )
    return Path(site)
