"""Threads that open, use and close something of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedask.client.base.worker_threads import WorkerThreads
from fedask.common.errors import StoreError, UnavailableError


class Log:
    """What was opened and closed, by the number of the thread that did it."""

    def __init__(self, failures: int = 0) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.failures = failures

    @contextmanager
    def connection(self) -> Iterator[int]:
        if self.failures:
            self.failures -= 1
            raise StoreError
        self.opened.append(threading.get_ident())
        yield threading.get_ident()
        self.closed.append(threading.get_ident())


def test_each_thread_opens_once_and_closes_what_it_opened() -> None:
    log, both_there = Log(), threading.Barrier(3)
    with WorkerThreads("desk", 2, log.connection) as threads:

        def look(own: int) -> tuple[int, int]:
            both_there.wait()
            return own, threading.get_ident()

        for _ in range(2):
            pair = [threads.call(look) for _ in range(2)]
            both_there.wait()
            for future in pair:
                own, thread = future.result()
                assert own == thread != threading.get_ident()
        assert len(set(log.opened)) == 2
        assert not log.closed
    assert len(log.opened) == 2
    assert sorted(log.closed) == sorted(log.opened)


def test_what_cannot_be_opened_is_tried_again_by_the_next_call() -> None:
    log = Log(failures=1)
    with WorkerThreads("desk", 1, log.connection) as threads:
        with pytest.raises(StoreError):
            threads.call(lambda own: own).result()
        assert threads.call(lambda own: own).result() == log.opened[0]
        assert threads.call(lambda own: own).result() == log.opened[0]


def test_nothing_is_opened_and_no_thread_started_without_work() -> None:
    log, before = Log(), threading.active_count()
    with WorkerThreads("desk", 3, log.connection):
        assert threading.active_count() == before
    assert not log.opened


def test_work_that_was_given_is_done_before_the_end_and_none_is_taken_after() -> None:
    log, go = Log(), threading.Event()
    threads = WorkerThreads("desk", 1, log.connection)
    first, second = threads.call(lambda _: go.wait()), threads.call(lambda own: own)
    threads.shutdown(wait=False)
    go.set()
    threads.shutdown()
    assert first.result()
    assert second.result() == log.opened[0]
    assert log.closed == log.opened
    with pytest.raises(RuntimeError):
        threads.submit(print)
    with pytest.raises(UnavailableError):
        threads.call(print)


def test_cancelled_work_is_left_out() -> None:
    log, go = Log(), threading.Event()
    with WorkerThreads("desk", 1, log.connection) as threads:
        first, second = threads.call(lambda _: go.wait()), threads.call(lambda own: own)
        assert second.cancel()
        go.set()
        assert first.result()
        assert threads.call(lambda own: own).result() == log.opened[0]
