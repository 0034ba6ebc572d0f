"""The accuracy of the fleet's model over time, as the server told it.

Kept by the device's store; read by the page, which tells people about it.
Nothing that a device scores, asks or trains depends on it. A server that lies here
makes people believe in progress that there is none of, and gets nothing for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

PERIOD = timedelta(days=7)  # over which a change is told: as far back as people look
FURTHEST = timedelta(days=60)  # what is older says nothing to anybody, and goes
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """The accuracy of the model that a cycle ended with.

    Parameters
    ----------
    run
        Names the server's run; "" if it told no name.
    cycle
        Of that run.
    accuracy
        On the server's held-out data, in [0, 1].
    at
        When the device was told; aware.
    trained
        Answers of this device that were in an update by then.
    """

    run: str = ""
    cycle: int
    accuracy: float
    at: datetime
    trained: int


class MilestoneStore(Protocol):
    """Keeps the milestones of one run, over the last sixty days."""

    def put(self, milestone: Milestone) -> None:
        """Keep the newest milestone; see ``with_milestone`` for what stays of others.

        One that is told again, in a message that was repeated, changes nothing.
        """

    def all(self) -> list[Milestone]:
        """Return the milestones in the order in which they came."""


def with_milestone(kept: Sequence[Milestone], new: Milestone) -> list[Milestone]:
    """Add a milestone to those that are kept, and thin out what has become old.

    Parameters
    ----------
    kept
        In the order in which they came.
    new
        If it is the last of them told again, they stay as they are. Where it is of
        another run, those before it go: models of two runs have nothing in common, and
        a difference between them is nobody's gain. So do later cycles of the same run,
        which began again from before them.

    Returns
    -------
    list
        The newest; the first of each hour of the last day, and of each day of the last
        sixty. Not more than 90, however many rounds there are in however many years.
    """
    last = kept[-1] if kept else None
    if last and _told(last) == _told(new):
        return list(kept)
    # A clock that was ahead when they came has been put right since.
    past = [replace(each, at=min(each.at, new.at)) for each in _before(new, kept)]
    first_of: dict[tuple[timedelta, int], Milestone] = {}
    for each in past:
        age = new.at - each.at
        if age <= FURTHEST:
            span = _HOUR if age <= _DAY else _DAY
            place = int(each.at.timestamp() // span.total_seconds())
            first_of.setdefault((span, place), each)
    return [*first_of.values(), new]


def _told(milestone: Milestone) -> tuple[str, int, float]:
    """Return what the server said."""
    return milestone.run, milestone.cycle, milestone.accuracy


def _before(new: Milestone, kept: Sequence[Milestone]) -> list[Milestone]:
    """Return the milestones that the model of a new one comes from."""
    past: list[Milestone] = []
    cycle = new.cycle
    for each in reversed(kept):
        if each.cycle < cycle and each.run == new.run:
            past.append(each)
            cycle = each.cycle
        elif not new.run:
            break  # of a server that names no run: there its cycles began again
    return past[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of the model's accuracy over about a week.

    Parameters
    ----------
    first, last
        Where the period begins, and the newest milestone.
    """

    first: Milestone
    last: Milestone

    @property
    def points(self) -> float:
        """Percentage points of accuracy, to one decimal; negative for a loss."""
        return round(100 * (self.last.accuracy - self.first.accuracy), 1)

    @property
    def answers(self) -> int:
        """Answers of this device that were trained on for the first time meanwhile."""
        # Fewer than before, if samples were erased.
        return max(0, self.last.trained - self.first.trained)


def recent_change(milestones: Sequence[Milestone], now: datetime) -> Change | None:
    """Compare the newest model with that of about a week ago.

    Parameters
    ----------
    milestones
        In the order in which they came; those of other runs than the last are left out.
    now
        Aware.

    Returns
    -------
    Change or None
        Within one run: from the last milestone that is a week old, or, on a device that
        is younger, from its first one. None if there are no two to compare, or even the
        newest is a week old: nothing has changed since.
    """
    if not milestones:
        return None
    last = milestones[-1]
    ours = [*_before(last, milestones[:-1]), last]
    old = [each for each in ours if now - each.at >= PERIOD]
    first = old[-1] if old else ours[0]
    return None if first is last else Change(first=first, last=last)
