"""What the page shows beside samples: what answers have gained, and a model's guess.

Called by the page; made by whoever starts it. A site can do without both. Nothing is
invented: a loss, a gain that may be chance, and one that this device had no part in are
not shown (``fedask device status`` tells the owner of all three).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from typing_extensions import override

from fedask.client.records.device_store import DeviceStore
from fedask.client.records.milestone import Change, recent_change
from fedask.common.clock import Clock
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

ACCURACY = "accuracy"  # what people call it
LEAST_POINTS = 1.0  # less may be chance: of 300 held-out samples, three
LEAST_ANSWERS = 5  # of this device: people are to see what *their* answers did


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better the model has become by answers.

    Parameters
    ----------
    measure
        What got better, as people call it: "accuracy".
    points
        By how much, in percentage points.
    """

    measure: str
    points: float
    since: datetime


class Gains(Protocol):
    """Returns what answers have gained."""

    def gain(self) -> Gain | None:
        """Return the gain to be shown; None if there is nothing to show."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """The class that a model predicts for a sample.

    Parameters
    ----------
    label
        Class index.
    local
        Whether the local model says so, not the global one.
    """

    label: int
    local: bool = False


class Guesses(Protocol):
    """Returns a model's guess for a sample.

    A context manager is entered and left in the thread that asks.
    """

    def prepare(self) -> None:
        """Load what guesses need, before somebody waits for the first one."""
        return

    def guess(self, uid: Uid) -> Guess | None:
        """Return the guess, or None if there is no model, or it cannot see the sample.

        It should answer for controls as well: who gets a guess for some samples only
        could tell which ones the site knows already.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Everything that the page shows beside samples.

    Parameters
    ----------
    gains
        None: nothing is shown. A context manager is entered and left in the thread that
        asks.
    guesses
        None: nobody can ask.
    """

    gains: Gains | None = None
    guesses: Guesses | None = None


def gain_of(change: Change | None) -> Gain | None:
    """Return the gain in a change of the model; None if there is nothing to show."""
    if change is None:
        return None
    if change.points < LEAST_POINTS or change.answers < LEAST_ANSWERS:
        return None
    return Gain(measure=ACCURACY, points=change.points, since=change.first.at)


class StoreGains(Gains, AbstractContextManager["StoreGains"]):
    """Gains from the milestones in a device's store. Enter it in the thread that asks.

    Parameters
    ----------
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
    def __exit__(self, *_: object) -> None:
        self._store = None
        self._stack.close()

    @override
    def gain(self) -> Gain | None:
        if self._store is None:
            raise StoreError("the gains are closed: enter them first")
        change = recent_change(self._store.milestones.all(), self._clock.now())
        return gain_of(change)
