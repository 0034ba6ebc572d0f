"""Change of a device's key: the keys of samples are wrapped anew, nothing else.

Called by the store. Any number of processes may go on with the same file meanwhile; one
that is killed at any point leaves a store that opens as before, and the next change
goes on where it stopped. The old key is destroyed last, when nothing needs it.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

from fedask.client.store.keys.key_vault import KeyVault
from fedask.common.ids import Uid

BATCH = 1000  # keys of one transaction: others wait a few milliseconds

_RETIRED = "SELECT generation, key_id FROM device_key WHERE root IS NULL"
_RETIRE = "UPDATE device_key SET root = NULL WHERE generation < ?"
_DROP = "DELETE FROM device_key WHERE generation = ?"
_OLD = """SELECT uid, wrapped, generation FROM sample_key
    WHERE uid > ? ORDER BY uid LIMIT ?"""
_ANY_OLD = "SELECT EXISTS (SELECT 1 FROM sample_key WHERE generation < ?)"
_REWRAP = "UPDATE sample_key SET wrapped = ?, generation = ? WHERE uid = ?"

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


def rotate(
    key_vault: KeyVault,
    transaction: Transaction,
    record: Callable[[sqlite3.Connection], None],
) -> None:
    """Change to a new device key, or finish a change that was begun.

    Parameters
    ----------
    record
        Takes note, in the transaction in which the old key retires.

    Raises
    ------
    StoreError
        If disk or keyring refuse; to be called again then.
    """
    with transaction():
        if key_vault.generations() == 1:
            key_vault.add_device_key()
        newest = key_vault.newest()
    old = True
    while old:  # again, if another process made a key under the old one meanwhile
        last: str | None = ""
        while last is not None:
            with transaction() as db:
                last = _rewrap(db, key_vault, newest, last)
        with transaction() as db:
            old = bool(db.execute(_ANY_OLD, (newest,)).fetchone()[0])
            if not old:
                db.execute(_RETIRE, (newest,))
                record(db)
    destroy_retired(key_vault, transaction)


def destroy_retired(key_vault: KeyVault, transaction: Transaction) -> None:
    """Destroy, in the keyring, the device keys that nothing needs any more."""
    with transaction() as db:
        for generation, device in db.execute(_RETIRED).fetchall():
            key_vault.keyring.drop(device)  # before the note that says so is gone
            db.execute(_DROP, (generation,))


def _rewrap(
    db: sqlite3.Connection, key_vault: KeyVault, newest: int, after: str
) -> str | None:
    """Wrap a batch of keys anew; return its last uid, None after the last batch."""
    rows = db.execute(_OLD, (after, BATCH)).fetchall()
    for uid, wrapped, generation in rows:
        if generation < newest:
            secret = key_vault.unwrap(Uid(uid), wrapped, generation)
            fresh = key_vault.wrap(Uid(uid), secret, newest)
            db.execute(_REWRAP, (fresh, newest, uid))
    return rows[-1][0] if rows else None
