"""One writer at a time among the threads of a service. Called by their desks.

SQLite lets whoever waits for its lock look again at growing intervals, up to a tenth
of a second, while others walk past: with eight apps a lease took up to 1.5 s. Threads
of one process wait for each other here instead, and are woken at once; SQLite's lock
is left for other processes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from typing_extensions import override

from fedask.client.labelling.grpc.error_table import BusyStoreError
from fedask.client.records.annotation import Annotation, LabellingProgress
from fedask.client.records.sample_record import AnnotationStore, SampleTransaction
from fedask.common.ids import Annotator, Uid


class WriteLock(AnnotationStore):
    """A store whose transactions take turns with those of other threads.

    Parameters
    ----------
    store
        Of the thread.
    turn
        Shared by all threads.
    wait_s
        Seconds after which a thread gives up.
    """

    def __init__(
        self, store: AnnotationStore, turn: threading.Lock, wait_s: float
    ) -> None:
        self._store = store
        self._turn = turn
        self._wait_s = wait_s

    @contextmanager
    @override
    def transaction(self) -> Iterator[SampleTransaction]:
        if not self._turn.acquire(timeout=self._wait_s):
            raise BusyStoreError
        try:
            with self._store.transaction() as transaction:
                yield transaction
        finally:
            self._turn.release()

    @override
    def newest(self, limit: int, annotator: Annotator | None) -> list[Annotation]:
        return self._store.newest(limit, annotator)

    @override
    def progress(self, since: datetime) -> LabellingProgress:
        return self._store.progress(since)

    @override
    def near(self, uid: Uid) -> list[Uid]:
        return self._store.near(uid)

    @override
    def waiting(self) -> list[tuple[Uid, float]]:
        return self._store.waiting()
