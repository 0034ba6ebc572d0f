"""The labelling page of a real device, from the owner's own node configuration.

Called by whoever starts the page: a process of its own beside the SuperNode, over the
same store, with the same ``--node-config``. The server has no say in any of it. ::

    from task import task
    from fedask.client.page.device import run_page

    run_page(task, {"data": "/srv/wavs", "store": "/srv/device.db"}, print)
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi import FastAPI
from typing_extensions import override

from fedask.client.deployment import data_options
from fedask.client.desk import Desk
from fedask.client.desk_settings import DeskSettings
from fedask.client.exhibit import Exhibit, Part
from fedask.client.page.app import labelling_page
from fedask.client.page.helps import Helps
from fedask.client.page.serve import address_of, serve
from fedask.client.page.settings import PageSettings
from fedask.client.pool import Pool
from fedask.client.showcase import Showcase
from fedask.client.shows import shows_of
from fedask.client.sources.index import Index
from fedask.client.sources.indexed import Look
from fedask.client.sources.source import open_source
from fedask.client.store import SqliteStore
from fedask.common.clock import Clock, SystemClock
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid
from fedask.common.task import Task

LOOK_AGAIN = timedelta(seconds=10)  # a look at a million files takes one of them


def run_page(
    task: Task,
    node: Mapping[str, object],
    announce: Callable[[str], None],
    helps: Helps | None = None,
) -> None:
    """Run the page of a device until SIGTERM or Ctrl-C.

    Parameters
    ----------
    task
        With the names of the classes.
    node
        As for the SuperNode: ``data`` and its options, ``store``, and the ``desk-`` and
        ``page-`` settings.
    announce
        Shown each link that lets one in, where there are no logins. Never a log.
    helps
        What else may be shown.

    Raises
    ------
    ConfigError
        If a key is missing or wrong, or the page cannot be started.
    """
    clock = SystemClock()
    settings = PageSettings.from_node(node, task.classes)
    app = page_of_device(
        node,
        settings,
        clock,
        lambda token: announce(address_of(settings, token)),
        helps,
    )
    serve(app, settings)


def page_of_device(
    node: Mapping[str, object],
    settings: PageSettings,
    clock: Clock,
    announce: Callable[[str], None],
    helps: Helps | None = None,
) -> FastAPI:
    """Make the page of a device; see ``run_page`` and ``labelling_page``."""
    for key in ("data", "store"):
        if key not in node:
            msg = f"the page of a device needs {key} in its configuration"
            raise ConfigError(msg)
    path = Path(str(node["store"]))
    desk_settings = DeskSettings.from_node(node, len(settings.classes))

    @contextmanager
    def desk() -> Iterator[Desk]:
        with closing(SqliteStore(path)) as store:
            yield Desk(store, clock, desk_settings)

    exhibit = DeviceExhibit(data_options(node), path, clock)
    return labelling_page(desk, exhibit, settings, clock, announce, helps)


class DeviceExhibit(Exhibit):
    """Shows the samples of a device, also those that arrive while it is open.

    To be entered, used and left in one thread.

    Parameters
    ----------
    options
        Of the data, as for ``open_source``.
    store
        Path of the device's store, beside which its index stands.
    clock
        For how often to look for new samples.

    Raises
    ------
    ConfigError
        If ``show`` is none that there is.
    DataError
        If the data cannot be read.
    """

    def __init__(self, options: Mapping[str, Any], store: Path, clock: Clock) -> None:
        self._options = options
        self._index = store.with_name(store.name + ".index")
        self._clock = clock
        self._shows = shows_of(options)
        self._open = ExitStack()
        self._showcase: Showcase | None = None
        self._looked_at: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        if self._showcase is not None:
            try:
                return self._showcase.parts(uid)
            except DataError:
                # It may have arrived, or been moved, since the last look.
                if not self._is_due():
                    raise
        self._showcase = self._look()
        return self._showcase.parts(uid)

    def _is_due(self) -> bool:
        now = self._clock.now()
        return self._looked_at is None or abs(now - self._looked_at) >= LOOK_AGAIN

    def _look(self) -> Showcase:
        self._open.close()
        index = self._open.enter_context(closing(Index(self._index)))
        self._looked_at = self._clock.now()
        look = Look(index=index, now=self._looked_at)
        return Showcase(Pool(open_source(self._options, look)), self._shows)
