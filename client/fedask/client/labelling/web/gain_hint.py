"""What answers have bought, from the milestones in the device's store.

Made by the page of a real device. Never invents: a loss, a gain that may be chance, and
one that this device had no part in are not shown. (``fedask device status`` tells the
owner of all three.)
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from typing_extensions import override

from fedask.client.labelling.web.hints import Gain, Gains
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.milestone import Change, recent_change
from fedask.common.clock import Clock
from fedask.common.errors import StoreError

ACCURACY = "accuracy"  # what people call it
LEAST_POINTS = 1.0  # less may be chance: of 300 held-out samples, three
LEAST_ANSWERS = 5  # of this device: people are to see what *their* answers did


def gain_of(change: Change | None) -> Gain | None:
    """Return what there is to be shown of a change; None if that is nothing."""
    if change is None:
        return None
    if change.points < LEAST_POINTS or change.answers < LEAST_ANSWERS:
        return None
    return Gain(measure=ACCURACY, points=change.points, since=change.first.at)


class StoreGains(Gains, AbstractContextManager["StoreGains"]):
    """Gains of the device whose store this is; to be entered in the thread that asks.

    Parameters
    ----------
    opened
        Opens the store.
    clock
        Says how long ago a milestone is.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[DeviceStore]], clock: Clock
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._stack = ExitStack()
        self._store: DeviceStore | None = None

    @override
    def __enter__(self) -> Self:
        self._store = self._stack.enter_context(self._opened())
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store = None
        self._stack.close()

    @override
    def gain(self) -> Gain | None:
        if self._store is None:
            msg = "the gains are closed: enter them first"
            raise StoreError(msg)
        change = recent_change(self._store.milestones.all(), self._clock.now())
        return gain_of(change)
