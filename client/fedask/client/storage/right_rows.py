"""Rights in a device's SQLite file. Called by the store, within a transaction.

The file knows until when each question may be asked, and by which policy, so that a
process without the data, or without the policy, does not show what it may not.
"""

import sqlite3
from collections.abc import Sequence

from fedask.client.rights.permitted import Permits
from fedask.client.storage import schema
from fedask.common.errors import PrivacyError, StoreError
from fedask.common.ids import Uid

NOTE = "rights"  # of the policy's digest; none, or an empty one: no restrictions
NEVER = "0001-01-01T00:00:00+00:00"  # the end of a right that there is not

_POLICY = "SELECT value FROM note WHERE name = ?"
_ALL = "SELECT uid FROM item ORDER BY uid"
_END = "UPDATE item SET right_until = ?1 WHERE uid = ?2 AND right_until IS NOT ?1"
_OPEN = "UPDATE item SET right_until = NULL WHERE right_until IS NOT NULL"
_GONE = """SELECT uid FROM item WHERE right_until = ?
    AND state IN ('queued', 'leased') ORDER BY uid"""
_EXPIRE = """UPDATE item SET state = 'expired', leased_until = NULL, taken = 0,
    expired = expired + (outcome IS NULL) WHERE uid = ?"""
_END_HOLDS = "UPDATE lease SET until = NULL WHERE uid = ? AND until IS NOT NULL"


def ends(
    db: sqlite3.Connection, permits: Permits | None, uids: Sequence[Uid]
) -> list[str | None]:
    """Return what is to be kept as the end of each question's right.

    Raises
    ------
    PrivacyError
        If a sample may not be asked.
    StoreError
        If the file is under another policy than the caller's.
    """
    row = db.execute(_POLICY, (NOTE,)).fetchone()
    policy = "" if row is None else bytes(row[0]).decode()
    if policy != ("" if permits is None else permits.digest):
        msg = "this device's policy of rights is another one by now, or is not known "
        msg += "here: open the device again, with its policy"
        raise StoreError(msg)
    if permits is None or not policy:
        return [None] * len(uids)
    found: list[str | None] = []
    for uid, end in zip(uids, permits.until(uids), strict=True):
        if end is None:
            msg = f"sample {uid} may not be asked: it has no right to be"
            raise PrivacyError(msg)
        found.append(schema.to_text(end))
    return found


def judge(db: sqlite3.Connection, permits: Permits) -> list[Uid]:
    """Keep anew until when each question may be asked; returns those that expired."""
    if not permits.digest:
        db.execute(_OPEN)
        return []
    uids = [Uid(uid) for (uid,) in db.execute(_ALL)]
    until = zip(uids, permits.until(uids), strict=True)
    texts = [(NEVER if end is None else schema.to_text(end), uid) for uid, end in until]
    db.executemany(_END, texts)
    gone = [Uid(uid) for (uid,) in db.execute(_GONE, (NEVER,))]
    for text, uid in texts:
        if text == NEVER:
            db.execute(_END_HOLDS, (uid,))  # controls, too: they are on a screen
    db.executemany(_EXPIRE, [(uid,) for uid in gone])
    return gone
