"""A clock for tests: it tells the time that it was told."""

from datetime import datetime

from typing_extensions import override

from fedask.common.clock import Clock


class FakeClock(Clock):
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    @override
    def now(self) -> datetime:
        return self.time
