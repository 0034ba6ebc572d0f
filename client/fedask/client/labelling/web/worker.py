"""One thread in which something is opened, used and closed again. Called by the page.

A SQLite connection belongs to the thread that opened it, and the desk's transactions
follow each other anyway: a pool of threads would be a pool of waiters. So all calls to
the desk go through one thread, with one connection; samples are read and drawn in
another, so that a large image never holds up an answer.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, TypeVar

from fedask.common.errors import UnavailableError

T = TypeVar("T")
R = TypeVar("R")


class Worker(Generic[T]):
    """A thread with something in it.

    Parameters
    ----------
    name
        Of the thread.
    opened
        Opens it, in that thread; it is closed there too.
    """

    def __init__(
        self, name: str, opened: Callable[[], AbstractContextManager[T]]
    ) -> None:
        self._name = name
        self._opened = opened
        self._thread: ThreadPoolExecutor | None = None
        self._stack = ExitStack()
        self._thing: list[T] = []

    async def start(self) -> None:
        """Open it. Whatever that raises is raised here."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except BaseException:
            self._thread.shutdown()
            raise

    async def call(self, work: Callable[[T], R]) -> R:
        """Return what ``work`` makes of it; calls follow each other as they came.

        Raises
        ------
        UnavailableError
            If the page is closing.
        """
        if self._thread is None:
            msg = "the page is closing"
            raise UnavailableError(msg)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._thing[0]))

    async def stop(self) -> None:
        """Close it, after all calls that were made before."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._stack.close)
            thread.shutdown()

    def _open(self) -> None:
        self._thing.append(self._stack.enter_context(self._opened()))
