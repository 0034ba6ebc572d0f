"""The time of day, in a time zone of the owner's. Called by ``machine``."""

from datetime import time
from zoneinfo import ZoneInfo

from typing_extensions import override

from fedask.client.site.eligibility.guard import EligibilitySensor, Obstacle, Reason
from fedask.common.clock import Clock


class HoursSensor(EligibilitySensor):
    """Whether it is a time of day between two, the second not included.

    Parameters
    ----------
    window
        Beginning, end and zone; an end before the beginning is on the next day.
    clock
        Tells the time.
    """

    name = "hours"

    def __init__(self, window: tuple[time, time, ZoneInfo], clock: Clock) -> None:
        self._begin, self._end, self._zone = window
        self._clock = clock

    @override
    def look(self) -> Obstacle | None:
        now = self._clock.now().astimezone(self._zone).time()
        if self._begin < self._end:
            inside = self._begin <= now < self._end
        else:
            inside = now >= self._begin or now < self._end
        if inside:
            return None
        sentence = f"it is {now:%H:%M}, not {self._begin:%H:%M} to {self._end:%H:%M}"
        return Obstacle(reason=Reason.OUTSIDE_HOURS, sentence=sentence)
