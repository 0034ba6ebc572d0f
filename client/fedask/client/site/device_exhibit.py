"""Shows the samples of a real device to people, also those that arrive later.

Made by ``DeviceFolder`` for whatever people label with: the page, the service, the
terminal.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from typing_extensions import override

from fedask.client.base.worker_threads import WorkerThreads
from fedask.client.data.rendering.showcase import Show, Showcase
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.records.pool import Pool
from fedask.common.clock import Clock
from fedask.common.errors import DataError
from fedask.common.ids import Uid

LOOK_AGAIN = timedelta(seconds=10)  # a look at a million files takes one of them


class DeviceExhibit(Exhibit):
    """Shows the samples that may be shown; entered, used and left in one thread.

    Parameters
    ----------
    shows
        How each field of a sample is shown.
    look
        Looks at the data; returns what may be shown of it.
    clock
        For how often to look for new samples.
    opened
        What ``look`` opens; left with the exhibit.
    """

    def __init__(
        self,
        shows: Mapping[str, Show],
        look: Callable[[], Pool],
        clock: Clock,
        opened: AbstractContextManager[object],
    ) -> None:
        self._shows = shows
        self._look = look
        self._clock = clock
        self._opened = opened
        self._showcase: Showcase | None = None
        self._looked_at: datetime | None = None

    def __enter__(self) -> Self:
        self._opened.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, err, trace)

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        return self._shown(lambda showcase: showcase.parts(uid))

    @override
    def full_parts(self, uid: Uid) -> tuple[Part, ...]:
        return self._shown(lambda showcase: showcase.full_parts(uid))

    def _shown(self, show: Callable[[Showcase], tuple[Part, ...]]) -> tuple[Part, ...]:
        if self._showcase is not None:
            try:
                return show(self._showcase)
            except DataError:
                # It may have arrived, or been moved, since the last look.
                if not self._is_due():
                    raise
        self._looked_at = self._clock.now()
        self._showcase = Showcase(self._look(), self._shows)
        return show(self._showcase)

    def _is_due(self) -> bool:
        now = self._clock.now()
        return self._looked_at is None or abs(now - self._looked_at) >= LOOK_AGAIN


class SharedExhibit(Exhibit):
    """Lets several threads use an exhibit that belongs to one thread.

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

    @override
    def full_parts(self, uid: Uid) -> tuple[Part, ...]:
        return self._thread.call(lambda exhibit: exhibit.full_parts(uid)).result()
