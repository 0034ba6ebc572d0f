"""Follows runs by the history files their servers write. Called by progress displays.

Works the same for a run in this process, in a worker, and on a SuperLink.
"""

import json
import os
from pathlib import Path
from typing import Any

from fedask.server.checkpoint import HISTORY


class Follower:
    """Reads what was added to one run's history since the last look.

    Parameters
    ----------
    out
        The run's folder; it need not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / HISTORY
        self._offset, self._inode = 0, 0
        self.last: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """Return the newest row, or {} before the first; accuracy is carried on."""
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:  # a resumed run has replaced the file
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return self.last
        whole, newline, _ = added.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            self.last = {**self.last, **json.loads(line)}
        return self.last
