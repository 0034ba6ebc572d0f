"""What a page may show beside the samples, if the site has it. Seams, and no more.

Called by the page; implemented by whoever starts it. None of it is needed to label.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What answers have bought.

    Parameters
    ----------
    measure
        What got better, as people call it: "accuracy".
    points
        By how much, in percentage points.
    since
        From when on.
    """

    measure: str
    points: float
    since: datetime


class Gains(Protocol):
    """Knows what answers have bought."""

    def gain(self) -> Gain | None:
        """Return the gain to be shown; None if there is nothing to show."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a model takes a sample for.

    Parameters
    ----------
    label
        Class index.
    own
        Whether it is the device's own model that says so, not the fleet's.
    """

    label: int
    own: bool = False


class Guesses(Protocol):
    """Knows what the model takes a sample for."""

    def guess(self, uid: Uid) -> Guess | None:
        """Return the guess, or None if there is no model, or it cannot see the sample.

        It should answer for controls as well: who gets a guess for some samples only
        could tell which ones the site knows already.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """All of them.

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
