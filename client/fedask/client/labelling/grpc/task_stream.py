"""Streams of tasks: each keeps one annotator supplied with samples while it is open.

Called by the servicer from the threads that serve, and by the server when it stops.
A stream gives a sample when its annotator holds fewer than the window, and then only if
there is one: looking costs no write to the disk. Whoever answers nothing for the length
of a lease is away: their stream ends, so that what they held goes to somebody else and
not to them again.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.grpc.access import Caller
from fedask.client.labelling.grpc.error_table import (
    CrowdedError,
    IdleError,
    ReleasedError,
    ReplacedError,
)
from fedask.client.records.annotation import Lease
from fedask.common.clock import Clock
from fedask.common.errors import FedaskError
from fedask.common.ids import Annotator, Uid


class TaskStream:
    """One open stream, as other threads see it."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._why: FedaskError | None = None
        self._lock = threading.Lock()
        self._acted = False
        self._answered: set[Uid] = set()

    def wake(self) -> None:
        """Let the stream look for more samples."""
        self._woken.set()

    def acted(self, answered: Iterable[Uid]) -> None:
        """Tell the stream that its annotator did something, and what they answered."""
        with self._lock:
            self._acted = True
            self._answered.update(answered)
        self._woken.set()

    def news(self) -> tuple[bool, set[Uid]]:
        """Return whether the annotator did something since, and what they answered."""
        with self._lock:
            news = (self._acted, self._answered)
            self._acted, self._answered = False, set()
        return news

    def end(self, why: FedaskError) -> None:
        """End the stream with an error; the first error counts."""
        self._why = self._why or why
        self._woken.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until the stream is woken, or the time is over.

        Raises
        ------
        FedaskError
            If it was ended.
        """
        self._woken.wait(timeout_s)
        self._woken.clear()  # before the caller looks: what comes after wakes it again
        if self._why is not None:
            raise self._why


class TaskStreams:
    """All open streams: one per annotator.

    Parameters
    ----------
    most
        Open at the same time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: dict[Annotator, TaskStream] = {}
        self._serving: set[TaskStream] = set()  # also those that are about to end
        self._why: FedaskError | None = None

    @contextmanager
    def open(self, annotator: Annotator) -> Iterator[TaskStream]:
        """Open the stream of an annotator; the one they had ends.

        Raises
        ------
        CrowdedError
            If too many are open.
        """
        stream = TaskStream()
        with self._lock:
            if self._why is not None:
                raise self._why
            if len(self._serving) >= self._most:
                raise CrowdedError
            before = self._open.get(annotator)
            self._open[annotator] = stream
            self._serving.add(stream)
        if before is not None:
            before.end(ReplacedError())
        try:
            yield stream
        finally:
            with self._lock:
                self._serving.discard(stream)
                if self._open.get(annotator) is stream:
                    del self._open[annotator]

    def acted(self, annotator: Annotator, answered: Iterable[Uid] = ()) -> None:
        """Tell the stream of an annotator, if there is one, what they did."""
        for stream in self._those_of(annotator):
            stream.acted(answered)

    def release(self, annotator: Annotator) -> None:
        """End the stream of an annotator who gives everything back.

        Before they do: it would take all of it again.
        """
        for stream in self._those_of(annotator):
            stream.end(ReleasedError())

    def wake(self) -> None:
        """Let all streams look for more samples."""
        with self._lock:
            streams = list(self._serving)
        for stream in streams:
            stream.wake()

    def stop(self, why: FedaskError) -> None:
        """End all streams, and those that are opened later."""
        with self._lock:
            self._why, streams = why, list(self._serving)
        for stream in streams:
            stream.end(why)

    def _those_of(self, annotator: Annotator) -> list[TaskStream]:
        with self._lock:
            return [self._open[annotator]] if annotator in self._open else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the handler of a stream knows of its call.

    Parameters
    ----------
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
        if not acted and not self._desk.has_new(self._annotator, self._window):
            return []
        held = self._desk.lease(self._annotator, self._window)
        shown = self._shown
        fresh = [e for e in held if e.uid not in shown or shown[e.uid] < now]
        self._shown = {lease.uid: lease.until for lease in held}
        if fresh:
            self._last = now
        return fresh
