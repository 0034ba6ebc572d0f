"""The pace of arrivals and questions: the state that a stream continues from.

Used by the stream; kept by the store, as bytes, in the same transaction as the
questions. Time is counted in periods: whole numbers since 1970.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace

from fedask.common.errors import StoreError
from fedask.common.ids import Uid

FIRST_BUDGET = 0.1  # while nobody knows how much arrives: the methods' usual default
_NEWS = 0.25  # weight of the last period in the usual: a change is followed in a few


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerState:
    """The state of a stream's controller. Each controller uses the fields it needs.

    Parameters
    ----------
    owed
        Labels that the budget has paid for so far, less those that were asked.
    recent
        The last utilities, oldest first; a bounded number.
    spent
        Labels asked of late: a sum that forgets.
    theta
        A threshold that moves by steps.
    """

    owed: float = 0.0
    recent: tuple[float, ...] = ()
    spent: float = 0.0
    theta: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The state of a stream between batches.

    Parameters
    ----------
    period
        The current one, or the last that had an arrival.
    cycle
        The last one that the server's cut was counted of.
    arrived, asked, by_chance
        In this period: samples, questions (the server's among them), and those of the
        questions that chance chose.
    usual
        Samples that arrive in a period, averaged over the periods with any; 0 = the
        first is not over.
    begun
        Names what the controller's threshold began with.
    last
        The last batch: whoever gave it may not know that it was taken.
    """

    period: int = 0
    cycle: int = 0
    arrived: int = 0
    asked: int = 0
    by_chance: int = 0
    usual: float = 0.0
    begun: str = ""
    state: ControllerState = field(default_factory=ControllerState)
    last: tuple[Uid, ...] = ()

    def at(self, period: int) -> "Pace":
        """Begin the given period, if it is not the current one.

        An earlier one is a clock that was set back: it becomes the current one, and
        people have no more time than they had.
        """
        if period <= self.period:
            return replace(self, period=period)
        usual = self.usual
        if self.arrived:
            news = _NEWS if usual else 1.0
            usual += news * (self.arrived - usual)
        return replace(
            self, period=period, usual=usual, arrived=0, asked=0, by_chance=0
        )

    def budget(self, capacity: int, most: float) -> float:
        """Return how many labels per sample people can pay for, in [0, 1].

        Parameters
        ----------
        capacity
            Labels they give in a period.
        most
            A limit on the result, or 0 for none.
        """
        if not self.usual:
            return most or FIRST_BUDGET
        return min(most or 1.0, capacity / self.usual)

    def without(self, uids: Collection[Uid]) -> "Pace":
        """Take samples that were erased out of the last batch."""
        return replace(self, last=tuple(uid for uid in self.last if uid not in uids))

    def to_bytes(self) -> bytes:
        """Return the pace as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> "Pace":
        """Read a pace from JSON; b"" is the pace before the first arrival.

        Raises
        ------
        StoreError
            If it is anything else.
        """
        if not kept:
            return cls()
        try:
            fields = json.loads(kept)
            state = fields["state"]
            state = ControllerState(**{**state, "recent": tuple(state["recent"])})
            return cls(**{**fields, "state": state, "last": tuple(fields["last"])})
        except (ValueError, TypeError, KeyError) as err:
            raise StoreError(
                f"the store's pace of arrivals cannot be read: {err}"
            ) from err
