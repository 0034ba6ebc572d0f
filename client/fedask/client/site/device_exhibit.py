"""Shows the samples of a real device, from the owner's own node configuration.

Called by whatever people label with: the page, the service, the terminal.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from fedask.client.base.worker_threads import WorkerThreads
from fedask.client.data.rendering.show_options import shows_of
from fedask.client.data.rendering.showcase import Showcase
from fedask.client.data.rights.holdings import Holdings, read_rights
from fedask.client.data.rights.rights_policy import Right
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.site.node_config import data_options
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import Clock
from fedask.common.errors import DataError
from fedask.common.ids import Uid

LOOK_AGAIN = timedelta(seconds=10)  # a look at a million files takes one of them


class DeviceExhibit(Exhibit):
    """Shows the samples of a device that may be shown, also those that arrive later.

    To be entered, used and left in one thread.

    Parameters
    ----------
    node
        The owner's node configuration: data and its options, rights, and the store,
        beside which the index of the data stands.
    clock
        For how often to look for new samples.

    Raises
    ------
    ConfigError
        If ``show`` is none that there is, or there are no rights.
    DataError
        If the data cannot be read.
    """

    def __init__(self, node: Mapping[str, Any], clock: Clock) -> None:
        self._options = data_options(node)
        self._store = Path(str(node["store"]))
        self._settings = StoreSettings.from_node(node)
        self._policy = read_rights(node)
        self._clock = clock
        self._shows = shows_of(self._options)
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
        opened = self._settings.open(self._store, self._clock, "show")
        store = self._open.enter_context(closing(opened))
        path = self._store.with_name(self._store.name + ".index")
        index = self._open.enter_context(closing(Index(path, store.index_key)))
        self._looked_at = self._clock.now()
        look = ScanContext(index=index, now=self._looked_at, payloads=store.payloads)
        source = open_source(self._options, look)
        held = Holdings(source, self._policy, store, self._looked_at)
        return Showcase(held.pool(Right.SHOW), self._shows)


class SharedExhibit(Exhibit):
    """Lets several threads look through an exhibit that belongs to one.

    Parameters
    ----------
    make
        Makes the exhibit, in its own thread, at the first look.
    """

    def __init__(self, make: Callable[[], DeviceExhibit]) -> None:
        self._thread = WorkerThreads("exhibit", 1, make)

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        return self._thread.call(lambda exhibit: exhibit.parts(uid)).result()
