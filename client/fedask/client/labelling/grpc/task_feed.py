"""Sends one annotator samples for as long as their stream is open.

Called by the servicer. Gives a sample when the annotator holds fewer than the window,
and then only if there is one: looking costs no write to the disk. Whoever answers
nothing for the length of a lease is away: their stream ends, so that what they held
goes to somebody else and not to them again.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.grpc.access import Caller
from fedask.client.labelling.grpc.error_table import IdleError
from fedask.client.labelling.grpc.task_streams import TaskStream
from fedask.client.records.annotation import Lease
from fedask.common.clock import Clock
from fedask.common.ids import Annotator, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a handler of a stream may know of its call.

    Parameters
    ----------
    caller
        Who calls.
    ends
        When the answer must be complete, on the clock of ``time.monotonic``.
    active
        Tells whether the client is still there.
    on_end
        Registers what is called when the client goes; False: it has gone.
    """

    caller: Caller
    ends: float
    active: Callable[[], bool]
    on_end: Callable[[Callable[[], None]], bool]


class TaskFeed:
    """What one stream has sent, and what it sends next.

    Parameters
    ----------
    annotator, window
        Who is to hold so many samples.
    desk
        Of the thread that serves the stream.
    clock, lease_s
        Of the desk.
    """

    def __init__(
        self,
        annotator: Annotator,
        window: int,
        desk: Desk,
        clock: Clock,
        lease_s: float,
    ) -> None:
        self._annotator = annotator
        self._window = window
        self._desk = desk
        self._clock = clock
        self._length = timedelta(seconds=lease_s)
        self._shown: dict[Uid, datetime] = {}
        self._last = clock.now()

    def leases(
        self, stream: TaskStream, call: Call, heartbeat_s: float
    ) -> Iterator[Lease | None]:
        """Yield leases as they can be given, and None as a sign of life.

        The first is None, at once: the client knows that it is served. Waiting is by
        the clock of the machine, as the deadline is.
        """
        yield None
        last_sign = monotonic()
        acted = True
        while call.active() and (left := call.ends - monotonic()) > 0:
            acted_since, answered = stream.news()
            fresh = self.more(acted=acted or acted_since, answered=answered)
            acted = False
            yield from fresh
            if fresh:
                last_sign = monotonic()
            elif monotonic() - last_sign >= heartbeat_s:
                yield None
                last_sign = monotonic()
            until_sign = last_sign + heartbeat_s - monotonic()
            stream.wait(max(0.0, min(left, until_sign)))

    def more(self, *, acted: bool, answered: Iterable[Uid]) -> list[Lease]:
        """Return leases that the annotator does not have on the screen.

        Parameters
        ----------
        acted
            Whether they did something since the last call, or this is the first.
        answered
            What has left the screen since.

        Raises
        ------
        IdleError
            If they have done nothing for the length of a lease.
        """
        now = self._clock.now()
        for uid in answered:
            self._shown.pop(uid, None)
        if acted:
            self._last = now
        elif self._shown and now - self._last > self._length:
            raise IdleError
        if not acted and not self._desk.lacks(self._annotator, self._window):
            return []
        held = self._desk.lease(self._annotator, self._window)
        shown = self._shown
        fresh = [e for e in held if e.uid not in shown or shown[e.uid] < now]
        self._shown = {lease.uid: lease.until for lease in held}
        if fresh:
            self._last = now
        return fresh
