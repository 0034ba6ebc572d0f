"""Files that are no business of other users of the machine. Called by their makers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OURS = 0o600


@contextmanager
def made_private(path: Path) -> Iterator[None]:
    """Give a database that is made meanwhile to its owner alone; its WAL follows.

    By name: a process that opened the file beside SQLite, and closed it again, would
    release the locks of all its connections to it (POSIX), and answers would be lost.
    """
    is_new = not path.exists()
    yield
    if is_new:
        path.chmod(OURS)
