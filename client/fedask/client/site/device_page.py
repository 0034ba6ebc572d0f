"""The labelling page of a real device, from the owner's own node configuration.

Called by whoever starts the page: a process of its own beside the SuperNode, over the
same store, with the same ``--node-config``. The server has no say in any of it. ::

    from task import task
    from fedask.client.site.device_page import run_page

    node = {"data": "/srv/wavs", "store": "/srv/device.db", "rights": "open"}
    run_page(task, node, print)
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.web.hints import Hints, StoreGains
from fedask.client.labelling.web.page_app import labelling_page
from fedask.client.labelling.web.page_server import address_of, serve
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.site.device_exhibit import DeviceExhibit
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import Clock, SystemClock
from fedask.common.errors import ConfigError
from fedask.common.task import Task


def run_page(
    task: Task,
    node: Mapping[str, object],
    announce: Callable[[str], None],
    hints: Hints | None = None,
) -> None:
    """Run the page of a device until SIGTERM or Ctrl-C.

    Parameters
    ----------
    task
        With the names of the classes.
    node
        As for the SuperNode: ``data`` and its options, ``store``, ``rights``, and the
        ``desk-`` and ``page-`` settings.
    announce
        Shown each link that lets one in, where there are no logins. Never a log.
    hints
        What else may be shown. Gains come from the store if there are none here.

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
        hints,
    )
    serve(app, settings)


def page_of_device(
    node: Mapping[str, object],
    settings: PageSettings,
    clock: Clock,
    announce: Callable[[str], None],
    hints: Hints | None = None,
) -> Starlette:
    """Make the page of a device; see ``run_page`` and ``labelling_page``.

    Raises
    ------
    ConfigError, StoreError
        If a setting is wrong, the labels are of other classes, or the store cannot be
        used.
    """
    for key in ("data", "store", "rights"):
        if key not in node:
            msg = f"the page of a device needs {key} in its configuration"
            raise ConfigError(msg)
    path = Path(str(node["store"]))
    store_settings = StoreSettings.from_node(node)
    desk_settings = DeskSettings.from_node(node, len(settings.classes))

    def opened() -> closing[SqliteStore]:
        return closing(store_settings.open(path, clock, "page"))

    @contextmanager
    def desk() -> Iterator[Desk]:
        with opened() as store:
            store.classes.keep(settings.classes)
            yield Desk(store.annotations, clock, desk_settings)

    with desk():
        pass  # a store that cannot be used is told now, not by the server's log
    hints = hints or Hints()
    if hints.gains is None:
        hints = replace(hints, gains=StoreGains(opened, clock))
    exhibit = DeviceExhibit(node, clock)
    return labelling_page(desk, exhibit, settings, clock, announce, hints)
