"""Makes the labelling page of a real device from its folder.

Called by ``fedask device serve``, a process of its own beside the SuperNode, and by
``doctor``. The server has no say in any of it.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.web.hints import Hints, StoreGains
from fedask.client.labelling.web.page_app import labelling_page
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.site.device_folder import DeviceFolder


def page_settings(folder: DeviceFolder, port: int | None = None) -> PageSettings:
    """Return how the page of a device is set up.

    Parameters
    ----------
    port
        Instead of that in ``device.toml``.

    Raises
    ------
    ConfigError
        If the task cannot be imported.
    """
    settings = folder.settings.page or PageSettings()
    store = folder.settings.store
    return replace(
        settings,
        classes=tuple(folder.task.classes),
        sessions=settings.sessions or Path(f"{store}.sessions"),
        port=settings.port if port is None else port,
    )


def page_of_device(
    folder: DeviceFolder,
    settings: PageSettings,
    announce: Callable[[str], None],
    hints: Hints | None = None,
) -> Starlette:
    """Make the page of a device.

    Parameters
    ----------
    folder
        Of the device. Each thread of the page opens it again.
    hints
        What else may be shown. Gains come from the store if there are none here.

    Raises
    ------
    ConfigError, StoreError
        If a setting is wrong, the labels are of other classes, or the store cannot be
        used.
    """

    @contextmanager
    def desk() -> Iterator[Desk]:
        with folder.again("page") as mine:
            yield mine.desk

    with desk():
        pass  # a store that cannot be used is told now, not by the server's log
    hints = hints or Hints()
    if hints.gains is None:
        gains = StoreGains(lambda: closing(folder.again("page").store), folder.clock)
        hints = replace(hints, gains=gains)
    exhibit, clock = folder.new_exhibit(), folder.clock
    return labelling_page(desk, exhibit, settings, clock, announce, hints)
