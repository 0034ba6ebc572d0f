"""When samples came, in a device's SQLite file. Called by the store, in a transaction.

Sixteen bytes a sample, for a policy with a retention. Kept when a sample is erased:
otherwise it would come back as a new one.
"""

import sqlite3
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import DataError

_ALL = "SELECT at, uids FROM arrival ORDER BY number"
_ADD = "INSERT INTO arrival (at, uids) VALUES (?, ?)"
_NOT_LATER = "UPDATE arrival SET at = ?1 WHERE at > ?1"
_TYPE = "S16"  # compared byte by byte, zeros at the end included


def seen(
    db: sqlite3.Connection, uids: NDArray[np.str_], now: datetime
) -> NDArray[np.int64]:
    """Return when each was seen first, and keep the new ones: see ``SeenStore.seen``.

    Raises
    ------
    DataError
        If a uid is not 32 hex digits.
    """
    second = int(now.timestamp())
    wanted = packed(uids)
    db.execute(_NOT_LATER, (second,))
    rows = db.execute(_ALL).fetchall()
    known = np.frombuffer(b"".join(blob for _, blob in rows), dtype=_TYPE)
    times = np.array([at for at, _ in rows], dtype=np.int64)
    times = np.repeat(times, [len(blob) // 16 for _, blob in rows])
    first = np.full(len(wanted), second, dtype=np.int64)
    is_new = np.ones(len(wanted), dtype=np.bool_)
    if len(known):
        order = np.argsort(known, kind="stable")
        at = np.searchsorted(known, wanted, sorter=order)
        places = order[np.minimum(at, len(known) - 1)]
        is_new = known[places] != wanted
        first[~is_new] = times[places[~is_new]]
    fresh = np.unique(wanted[is_new])
    if len(fresh):
        db.execute(_ADD, (second, fresh.tobytes()))
    return first


def packed(uids: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Write uids in 16 bytes each: (n,).

    Raises
    ------
    DataError
        If one is not 32 hex digits.
    """
    try:
        raw = bytes.fromhex("".join(uids.tolist()))
    except ValueError:
        raw = b""
    if len(raw) != 16 * len(uids):
        msg = "a retention needs uids of 32 hexadecimal digits"
        raise DataError(msg)
    return np.frombuffer(raw, dtype=_TYPE)
