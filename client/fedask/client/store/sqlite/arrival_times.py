"""When samples came, in a device's SQLite file. Called by the store, in a transaction.

Sixteen bytes a sample, for a policy with a retention. Gone when a sample is erased: its
tombstone keeps it from coming back as a new one.
"""

import sqlite3
from collections.abc import Collection
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import DataError
from fedask.common.ids import Uid, is_uid

_ALL = "SELECT at, uids FROM arrival ORDER BY number"
_ADD = "INSERT INTO arrival (at, uids) VALUES (?, ?)"
_BLOBS = "SELECT number, uids FROM arrival"
_PUT = "UPDATE arrival SET uids = ? WHERE number = ?"
_NOT_LATER = "UPDATE arrival SET at = ?1 WHERE at > ?1"


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
    known = np.frombuffer(b"".join(blob for _, blob in rows), dtype=">u8")
    known = known.astype(np.uint64).reshape(-1, 2)
    times = np.array([at for at, _ in rows], dtype=np.int64)
    times = np.repeat(times, [len(blob) // 16 for _, blob in rows])
    both = np.concatenate([known, wanted])
    # Known ones first among equals: the sort is stable.
    order = np.lexsort((both[:, 1], both[:, 0]))
    ranked = both[order]
    starts = np.ones(len(both), dtype=np.bool_)
    starts[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    leaders = order[starts][np.cumsum(starts) - 1]  # of each place its first equal
    leader_of = np.empty(len(both), dtype=np.int64)
    leader_of[order] = leaders
    first = np.concatenate([times, np.full(len(wanted), second, dtype=np.int64)])
    fresh = np.unique(leader_of[leader_of >= len(known)])
    if len(fresh):
        db.execute(_ADD, (second, both[fresh].astype(">u8").tobytes()))
    found: NDArray[np.int64] = first[leader_of[len(known) :]]
    return found


def forget(db: sqlite3.Connection, uids: Collection[Uid]) -> None:
    """Keep no longer when these came; one that was never seen does no harm."""
    names = np.array([bytes.fromhex(uid) for uid in uids if is_uid(uid)], dtype="S16")
    if not len(names):
        return
    for number, blob in db.execute(_BLOBS).fetchall():
        known = np.frombuffer(blob, dtype="S16")
        stays = ~np.isin(known, names)
        if not stays.all():
            db.execute(_PUT, (known[stays].tobytes(), number))


def packed(uids: NDArray[np.str_]) -> NDArray[np.uint64]:
    """Write uids as two numbers each: (n, 2).

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
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64).reshape(-1, 2)
