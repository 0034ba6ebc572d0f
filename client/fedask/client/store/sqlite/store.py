"""The device's SQLite file: queue, labels, scores. Never touched by the server.

Called by the device, the labelling service and the trainer; opened by ``connection``.
What people said is sealed by ``sealer``. Each seam is a class of its own over the one
connection, in the module of its name; here they become one store.
"""

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.erasure import Erased
from fedask.client.records.payload import Payload, PayloadStore, StoreQuota
from fedask.client.store.keys.keyring import Keyring
from fedask.client.store.sqlite import key_rotation, schema
from fedask.client.store.sqlite.annotations import SqliteAnnotations
from fedask.client.store.sqlite.arrivals import SqliteArrivals
from fedask.client.store.sqlite.class_names import SqliteClasses
from fedask.client.store.sqlite.label_queue import SqliteLabels
from fedask.client.store.sqlite.local_model import SqliteLocalModel
from fedask.client.store.sqlite.milestones import SqliteMilestones
from fedask.client.store.sqlite.payload_table import PayloadTable
from fedask.client.store.sqlite.pseudo_labels import SqlitePseudoLabels
from fedask.client.store.sqlite.query_outcomes import SqliteQueryOutcomes
from fedask.common.ids import Uid
from fedask.common.seal import Key


class SqliteStore(
    SqliteLabels,
    SqliteArrivals,
    SqliteQueryOutcomes,
    SqlitePseudoLabels,
    SqliteAnnotations,
    SqliteMilestones,
    SqliteLocalModel,
    SqliteClasses,
    DeviceStore,
    PayloadStore,
):
    """The durable store.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist.
    keyring
        Where the device's key is; by default a key file beside the store.
    quota
        Room for payloads.
    audit
        Records every change. Without one, a file that has a log can only be read.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no fedask store, is of a newer version, sealed
        with another key, or its log is not what its head says; and from every method,
        if the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        keyring: Keyring | None = None,
        quota: StoreQuota | None = None,
        audit: Audit = NO_AUDIT,
    ) -> None:
        super().__init__(path, keyring, audit)
        room = quota or StoreQuota()
        self._shelf = PayloadTable(self._db, self._vault, self._eraser, room)

    @override
    def forget(self, uids: Iterable[Uid]) -> Erased:
        wanted = list(uids)
        with self._transaction() as db:
            known = self._eraser.forgotten(wanted)
            fresh = sorted(frozenset(wanted) - known)
            cycles = self._eraser.forget(wanted)
            if fresh:
                self._audit.append(db, Event.FORGOTTEN, uids=fresh)
            models = self._eraser.models() if any(cycles.values()) else ()
            schema.set_unclean(db, unclean=True)
        with self._reading():
            clean = self._clean()
        return Erased(cycles=cycles, models=models, clean=clean)

    @override
    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        with self._reading():
            return self._eraser.forgotten(uids)

    @override
    def put_payload(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        with self._transaction():
            return self._shelf.put(uid, suffix, content)

    @override
    def payload(self, uid: Uid) -> bytes:
        with self._snapshot():
            return self._shelf.content(uid)

    @override
    def payloads(self) -> list[Payload]:
        with self._reading():
            return self._shelf.payloads()

    @override
    def dropped(self) -> frozenset[Uid]:
        with self._reading():
            return self._shelf.dropped()

    @property
    def index_key(self) -> Key:
        """What seals the index of the data beside this store; it never changes."""
        return self._vault.key_for("index")

    def rotate(self) -> None:
        """Change the device's key; see ``rotation``."""
        key_rotation.rotate(
            self._vault,
            self._transaction,
            lambda db: self._audit.append(db, Event.KEY_ROTATED, which="device"),
        )
        with self._reading():
            self._clean()

    def problem(self) -> str:
        """Return what is wrong with the file, or "" if it is sound. Reads all of it."""
        with self._reading() as db:
            (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
        return "" if told == "ok" else str(told)
