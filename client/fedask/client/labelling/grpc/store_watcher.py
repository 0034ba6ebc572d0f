"""Notices when other processes change the store. Called by the server; never writes."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

logger = logging.getLogger(__name__)

_BUSY_S = 1.0


class StoreWatcher:
    """A thread that polls SQLite's counter of changes.

    Parameters
    ----------
    changed
        Called from the thread.
    """

    def __init__(self, path: Path, every_s: float, changed: Callable[[], None]) -> None:
        self._path = path
        self._every_s = every_s
        self._changed = changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait until it has ended."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except sqlite3.Error as err:
                # Streams still look at every heartbeat; a store that is gone for good
                # is told to whoever calls.
                logger.warning("cannot watch the store: %s", type(err).__name__)
                self._stop.wait(self._every_s)

    def _watch(self) -> None:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as db:
            seen = None
            while not self._stop.wait(self._every_s):
                # Of a connection that never writes: changes with every commit.
                (number,) = db.execute("PRAGMA data_version").fetchone()
                if seen not in {None, number}:
                    self._changed()
                seen = number
