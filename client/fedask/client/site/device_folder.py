"""What the settings of a site open: task, store, pool, desk. One per process.

Made by every command of ``fedask device``. Everything is opened on first use and
closed together; the task, and with it the user's code, only where it is needed.
"""

import sys
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fedask.client.data.rights.holdings import Holdings, read_rights
from fedask.client.data.rights.rights_policy import ASK, RightsPolicy
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.labelling.desk.desk import Desk
from fedask.client.records.exhibit import Exhibit
from fedask.client.records.pool import DataSource, Pool
from fedask.client.site.device_exhibit import DeviceExhibit
from fedask.client.site.device_settings import DeviceSettings, read_device_settings
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.clock import Clock
from fedask.common.config import Scenario, read_scenario
from fedask.common.errors import ConfigError
from fedask.common.registry import load_attr
from fedask.common.task import Task

if TYPE_CHECKING:
    from fedask.client.learning.selection.run_context import RunContext


class DeviceFolder:
    """A device's folder, opened.

    Parameters
    ----------
    settings
        Of the site.
    clock
        For the desk, and to tell which files may still be growing.
    process
        Who opens the device: a short word for the audit log.
    """

    def __init__(
        self, settings: DeviceSettings, clock: Clock, process: str = "command"
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._process = process
        self._opened = ExitStack()

    @classmethod
    def at(cls, folder: Path, clock: Clock, process: str = "command") -> "DeviceFolder":
        """Read the settings in a folder.

        Raises
        ------
        ConfigError
            As ``read_device_settings``.
        """
        return cls(read_device_settings(folder), clock, process)

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
        """The fleet's settings, as the app's folder has them.

        Raises
        ------
        ConfigError
            If the app is missing or its settings are wrong.
        """
        try:
            return read_scenario(self.settings.app_path)
        except ConfigError as err:
            msg = f"{self.settings.where}: app = {str(self.settings.app)!r}: {err}"
            raise ConfigError(msg) from err

    @cached_property
    def task(self) -> Task:
        """What is learned: the user's own code, from the app's folder.

        Raises
        ------
        ConfigError
            If it does not import, or is no task.
        """
        folder = str(self.settings.app_path.resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = self.scenario.task.name
        if ":" not in name:
            where = self.settings.app_path / "pyproject.toml"
            msg = f"{where}: task.name = {name!r} must name the task of a device, as "
            msg += "in 'my_app.task:task'"
            raise ConfigError(msg)
        task = load_attr(name)
        if not isinstance(task, Task):
            msg = f"{name} is a {type(task).__name__}, not a fedask.common.Task"
            raise ConfigError(msg)
        return task

    @cached_property
    def setting(self) -> "RunContext":
        """Task and scenario, with a learner whose loaded model changes.

        Of the thread that asks first. Imports torch.

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
        """The device's file, made if missing. Of the thread that asks first.

        Raises
        ------
        StoreError
            If it cannot be used.
        """
        return self._opened.enter_context(closing(self.open_store()))

    def open_store(self) -> SqliteStore:
        """Open the device's file once more: every thread needs its own connection.

        Raises
        ------
        StoreError
            If it cannot be used.
        """
        settings, path = self.settings.store_settings(), self.settings.store_path
        return settings.open(path, self.clock, self._process)

    @cached_property
    def desk(self) -> Desk:
        """Where people get samples. Of the thread that asks first."""
        return self.open_desk(self.store)

    def open_desk(self, store: SqliteStore) -> Desk:
        """Return a desk over a store that was opened here.

        Raises
        ------
        ConfigError
            If a setting of the desk is wrong, or the labels are of other classes.
        """
        store.classes.keep(self.task.classes)
        settings = self.settings.desk_settings(self.task.num_classes)
        return Desk(store.annotations, self.clock, settings)

    @cached_property
    def index(self) -> Index:
        """What was found in the files of the device."""
        path = self.settings.store_path
        return self._opened.enter_context(
            closing(Index(path.with_name(path.name + ".index"), self.store.index_key))
        )

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
        try:
            return open_source(self.settings.data, look)
        except ConfigError as err:
            msg = f"{self.settings.where} [data]: {err}"
            raise ConfigError(msg) from err

    @cached_property
    def exhibit(self) -> Exhibit:
        """What people are shown. Of the thread that asks first.

        Raises
        ------
        ConfigError, DataError
            If ``show`` is none that there is, or the data cannot be read.
        """
        return self._opened.enter_context(self.new_exhibit())

    def new_exhibit(self) -> DeviceExhibit:
        """Return what shows samples, for the thread that asks; to be entered there."""
        return DeviceExhibit(self.settings.to_node(), self.clock)

    @cached_property
    def policy(self) -> RightsPolicy | None:
        """What the site allows; None: everything.

        Raises
        ------
        ConfigError
            If the policy cannot be used.
        """
        return read_rights(self.settings.to_node())

    def hold(self, source: DataSource) -> Holdings:
        """Judge what may be done with the samples of a look; the store is told."""
        held = Holdings(source, self.policy, self.store, self.clock.now())
        held.apply()
        return held

    @cached_property
    def held(self) -> Holdings:
        """What may be done with the device's samples as they are now."""
        return self.hold(self.open_data())

    @cached_property
    def pool(self) -> Pool:
        """The device's samples that may be asked, as they are now."""
        return self.held.pool(ASK)
