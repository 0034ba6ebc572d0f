"""Tells whether a disk without room is what is behind an error.

Called where people are told what to do: room is theirs to make, other faults are not.
"""

import errno
import sqlite3

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_disk_full(err: BaseException | None) -> bool:
    """Return whether an error, or one that it was raised from, says so."""
    while err is not None:
        if isinstance(err, OSError) and err.errno in _NO_ROOM:
            return True
        code = getattr(err, "sqlite_errorcode", None) or 0
        if code & 0xFF == sqlite3.SQLITE_FULL:
            return True
        err = err.__cause__
    return False
