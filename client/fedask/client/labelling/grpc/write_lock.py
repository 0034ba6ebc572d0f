"""A lock that lets one thread of a service write at a time. Entered by their desks.

SQLite lets whoever waits for its lock look again at growing intervals, up to a tenth
of a second, while others walk past: with eight apps a lease took up to 1.5 s. Threads
of one process wait for each other here instead, and are woken at once; SQLite's lock
is left for other processes.
"""

import threading

from fedask.client.labelling.grpc.error_table import BusyStoreError


class WriteLock:
    """A context manager that one thread at a time can be in.

    Parameters
    ----------
    wait_s
        Seconds after which a thread gives up.

    Raises
    ------
    BusyStoreError
        On entering, if others were in it for so long.
    """

    def __init__(self, wait_s: float) -> None:
        self._lock = threading.Lock()
        self._wait_s = wait_s

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._wait_s):
            raise BusyStoreError

    def __exit__(self, *_: object) -> None:
        self._lock.release()
