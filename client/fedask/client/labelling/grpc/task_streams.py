"""The open streams of tasks: one per annotator, woken when there may be more to give.

Called by the servicer from the threads that serve, and by the server when it stops.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fedask.client.labelling.grpc.error_table import (
    CrowdedError,
    ReleasedError,
    ReplacedError,
)
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
        """Let it look for more."""
        self._woken.set()

    def acted(self, answered: Iterable[Uid]) -> None:
        """Let it know that its annotator did something, and what they answered."""
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
        """Let it end with an error; the first one counts."""
        self._why = self._why or why
        self._woken.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is woken, or the time is over.

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
    """All that are open.

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
        """Wake all: something has changed."""
        with self._lock:
            streams = list(self._serving)
        for stream in streams:
            stream.wake()

    def stop(self, why: FedaskError) -> None:
        """End all, and whatever is opened later."""
        with self._lock:
            self._why, streams = why, list(self._serving)
        for stream in streams:
            stream.end(why)

    def _those_of(self, annotator: Annotator) -> list[TaskStream]:
        with self._lock:
            return [self._open[annotator]] if annotator in self._open else []
