"""A connection to a store's SQLite file: opening, keys, transactions.

WAL with ``synchronous=FULL``: an answer that was acknowledged survives a power cut.
Every transition is one ``BEGIN IMMEDIATE``, so that processes may share the file. What
is deleted is overwritten (``secure_delete``), and nothing is put into temporary files.
Made by ``store``, used by its parts.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fedask.client.base.private_file import made_private
from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.store.keys.key_file import KeyFile
from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.keys.keyring import Keyring
from fedask.client.store.keys.row_cipher import RowCipher
from fedask.client.store.sqlite import key_rotation, schema
from fedask.common.errors import StoreError

BUSY_TIMEOUT_MS = 10_000
AUDIT = "audit"  # purpose of the store's own key for its log
_TAKEN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})  # by another process
_WAL_TRIES, _WAL_PAUSE_S = 200, 0.05  # together as long as the busy time-out


class Connection:
    """One connection to the file; one per thread.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist.
    keyring
        Where the device's key is; by default a key file beside the store, its name
        with ``.key`` at the end. A new store makes its key there.
    audit
        Records every transaction that opens here. Without one, a file that has a log
        can only be read.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no fedask store, is of a newer version or
        sealed with another key, or if its log is not what its head says.
    """

    def __init__(
        self, path: Path, keyring: Keyring | None = None, audit: Audit = NO_AUDIT
    ) -> None:
        self._path = path
        self.audit = audit
        self._ready = False  # until the tables are there, and the log is opened
        if keyring is None:
            keyring = KeyFile(path.with_name(path.name + ".key"))
        try:
            with made_private(path):
                self.db = sqlite3.connect(path, isolation_level=None)
            self.key_vault = KeyVault(self.db, path, keyring)
            self.cipher = RowCipher(self.key_vault)
            try:
                self._set_up()
            except BaseException:
                self.db.close()
                raise
        except sqlite3.Error as err:
            raise StoreError(f"cannot open the store {path}: {err}") from err

    def close(self) -> None:
        """Release the file."""
        self.db.close()

    def _set_up(self) -> None:
        self.db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        version = schema.version_of(self.db)
        if version > schema.SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was written by a newer fedask (schema {version})"
            )
        if version:
            self.key_vault.open()  # before anything is written
        self._use_wal()
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",
        ):
            self.db.execute(f"PRAGMA {setting}")
        if not version or self.audit is not NO_AUDIT:
            with self.transaction() as db:
                # Asks again, under the lock: another process may have been first.
                if schema.version_of(db):
                    self.key_vault.open()
                else:
                    schema.make_tables(db)
                    self.key_vault.make()
                self.audit.open(db, self.key_vault.key_for(AUDIT).secret)
        if self.key_vault.has_retired:  # a process was killed before the last step
            key_rotation.destroy_retired(self.key_vault, self.transaction)
        if schema.note(self.db, schema.UNCLEAN):
            self.clean()
        # What came before tidies up, with or without the log's key; no event is in it.
        self._ready = True

    def _use_wal(self) -> None:
        """Switch the file to WAL, which SQLite does without waiting for its lock.

        Only the processes that open a new file at the same moment meet; each tries
        again until the first one has switched it.
        """
        for tries_left in reversed(range(_WAL_TRIES)):
            try:
                self.db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as err:
                if err.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries_left:
                    raise
                time.sleep(_WAL_PAUSE_S)
            else:
                return

    def clean(self) -> bool:
        """Write the file anew, without what was deleted, and empty the WAL.

        Returns whether that was possible now: while another process reads an older
        state of the file, that state stays, and the next opening tries again.
        """
        try:
            # Not in memory: it is as large as the file. And sealed, as the file is.
            self.db.execute("PRAGMA temp_store = FILE")
            self.db.execute("VACUUM")
            if self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode & 0xFF not in _TAKEN:
                raise
            return False
        finally:
            self.db.execute("PRAGMA temp_store = MEMORY")
        with self.transaction() as db:
            schema.put_note(db, schema.UNCLEAN, b"")
        return True

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all changes or none; SQLite's errors are wrapped."""
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                if self._ready:
                    self.audit.check_open(db)
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite may have undone it itself
                    db.execute("ROLLBACK")
                self.audit.settle(committed=False)
                raise
            self.audit.settle(committed=True)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Let several reads see the same moment, without keeping writers out."""
        with self.reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read outside of a transaction; SQLite's errors are wrapped."""
        try:
            yield self.db
        except sqlite3.Error as err:
            raise StoreError(f"store {self._path}: {err}") from err


def audit_key(path: Path, keyring: Keyring) -> bytes:
    """Return the store's own key of its audit log, and change nothing.

    For a check of the log of a store that refuses to be opened.

    Raises
    ------
    StoreError
        If there is no store, it is sealed with another key, or of a version without.
    """
    try:
        where = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as db:
            key_vault = KeyVault(db, path, keyring)
            key_vault.open()
            return key_vault.key_for(AUDIT).secret
    except sqlite3.Error as err:
        raise StoreError(
            f"cannot read the key of the audit log in {path}: {err}"
        ) from err
