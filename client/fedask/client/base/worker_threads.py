"""Threads that each open, use and close a resource of their own.

Called by the labelling page (one thread at the desk, one for pictures), by the gRPC
service (a desk for each thread) and by the exhibit that several threads look through.
``ThreadPoolExecutor`` will not do: an SQLite connection must be closed by the thread
that opened it, before the thread ends.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Generic, ParamSpec, TypeVar

from typing_extensions import override

from fedask.common.errors import UnavailableError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class WorkerThreads(Executor, Generic[_T]):
    """Threads that share a queue of work; they start with the first of it.

    Parameters
    ----------
    name
        Begins the names of the threads.
    count
        Number of threads, from 1.
    opened
        Opens what a thread needs, when it first needs it; closed when the thread ends.

    Examples
    --------
    >>> from contextlib import closing
    >>> import sqlite3
    >>> with WorkerThreads("db", 1, lambda: closing(sqlite3.connect(""))) as threads:
    ...     threads.call(lambda db: db.execute("SELECT 2 + 3").fetchone()).result()
    (5,)
    """

    def __init__(
        self, name: str, count: int, opened: Callable[[], AbstractContextManager[_T]]
    ) -> None:
        self._opened = opened
        self._local = threading.local()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def own(self) -> _T:
        """Return the resource of the calling thread, which must be one of these.

        What ``opened`` raises is raised here; the next call tries again.
        """
        if not self._local.own:
            self._local.own.append(self._local.stack.enter_context(self._opened()))
        own: _T = self._local.own[0]
        return own

    def call(self, work: Callable[[_T], _R]) -> "Future[_R]":
        """Run a function in one of the threads, with the resource of that thread.

        Raises
        ------
        UnavailableError
            After ``shutdown``.
        """
        try:
            return self.submit(lambda: work(self.own()))
        except RuntimeError as err:
            raise UnavailableError("the process is closing") from err

    @override
    def submit(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_R]":
        future: Future[_R] = Future()
        with self._lock:
            if self._closed:
                # In the words that gRPC expects.
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._jobs.put((future, lambda: fn(*args, **kwargs)))
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the work that they were given."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._jobs.put(None)
        if wait and self._started:
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        with ExitStack() as stack:
            self._local.stack, self._local.own = stack, []
            while (job := self._jobs.get()) is not None:
                future, work = job
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(work())
                    except BaseException as err:  # noqa: BLE001  (the caller gets it)
                        future.set_exception(err)
                del job, future, work
