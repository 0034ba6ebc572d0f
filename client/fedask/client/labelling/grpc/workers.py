"""The threads that serve, each with a desk, and so an SQLite connection, of its own.

Called by gRPC as its pool of threads. ``ThreadPoolExecutor`` will not do: SQLite wants
a connection to be closed by the thread that opened it, before the thread ends.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Workers(ThreadPoolExecutor):
    """A pool of threads with desks.

    Parameters
    ----------
    count
        Of threads.
    open_desk
        Called by a thread when it first needs a desk; left when the thread ends.
    """

    def __init__(
        self, count: int, open_desk: Callable[[], AbstractContextManager[Desk]]
    ) -> None:
        super().__init__(max_workers=1)  # starts none until it is given work: never
        self._open_desk = open_desk
        self._local = threading.local()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._own = [
            threading.Thread(target=self._run, name=f"desk-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._own:
            thread.start()

    def desk(self) -> Desk:
        """Return the desk of the thread that asks.

        Raises
        ------
        StoreError
            If the store cannot be opened; the next call tries again.
        """
        if self._local.desk is None:
            self._local.desk = self._local.stack.enter_context(self._open_desk())
        desk: Desk = self._local.desk
        return desk

    @override
    def submit(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        future: Future[_T] = Future()
        with self._gate:
            if self._closed:
                msg = "cannot schedule new futures after shutdown"  # as gRPC expects it
                raise RuntimeError(msg)
            self._jobs.put((future, lambda: fn(*args, **kwargs)))
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End when the work that was given is done."""
        with self._gate:
            if not self._closed:
                self._closed = True
                for _ in self._own:
                    self._jobs.put(None)
        if wait:
            for thread in self._own:
                thread.join()

    def _run(self) -> None:
        with ExitStack() as stack:
            self._local.stack, self._local.desk = stack, None
            while (job := self._jobs.get()) is not None:
                future, work = job
                if future.set_running_or_notify_cancel():
                    _do(future, work)


def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as err:  # noqa: BLE001  (whoever holds the future gets it)
        future.set_exception(err)
