"""Slows down the guessing of passwords. Called by the page at each sign-in. Pure.

Failures are counted per name and address together, per address, and per name: one
machine that guesses cannot lock a person out at theirs before very many failures.
Beyond what is free, each failure doubles the wait. Memory is bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FREE = {"both": 5, "address": 20, "name": 50}  # failures without a wait
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN = timedelta(hours=1)  # after the last failure
_MAX_KEPT = 10_000
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    last: datetime


class Attempts:
    """Failed sign-ins of the last hour."""

    def __init__(self) -> None:
        self._failed: OrderedDict[_Key, _Failures] = OrderedDict()

    def wait(self, name: str, address: str, now: datetime) -> timedelta:
        """Return how long to wait before the next attempt; zero if none is needed."""
        waits = [self._wait(key, now) for key in _keys(name, address)]
        return max(waits)

    def failed(self, name: str, address: str, now: datetime) -> None:
        """Count a failure."""
        for key in _keys(name, address):
            before = self._failed.pop(key, None)
            fresh = before is None or now - before.last > FORGOTTEN
            count = 0 if before is None or fresh else before.count
            self._failed[key] = _Failures(count + 1, now)
        while len(self._failed) > _MAX_KEPT:
            self._failed.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Take back what ``failed`` has just counted; others' failures stay.

        Those of this person at this machine are forgotten.
        """
        for key in _keys(name, address):
            before = self._failed.pop(key, None)
            if before is not None and key[0] != "both" and before.count > 1:
                self._failed[key] = _Failures(before.count - 1, before.last)

    def _wait(self, key: _Key, now: datetime) -> timedelta:
        found = self._failed.get(key)
        if found is None or found.count < FREE[key[0]]:
            return timedelta(0)
        doublings = min(found.count - FREE[key[0]], 10)
        length = min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))
        # A clock that was set back must not lock people out for as long as it went.
        left = min(length, found.last + length - now)
        return max(timedelta(0), left)


def _keys(name: str, address: str) -> tuple[_Key, _Key, _Key]:
    return ("both", name, address), ("address", "", address), ("name", name, "")
