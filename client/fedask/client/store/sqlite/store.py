"""The device's store on SQLite. Opened by the device, the desk and the commands.

One ``Connection`` to one file, and the parts that keep something in it. Never touched
by the server.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from fedask.client.records.audit import NO_AUDIT, Audit
from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.part_store import PartStore
from fedask.client.records.payload import StoreQuota
from fedask.client.store.keys.keyring import Keyring
from fedask.client.store.part_folder import PARTS, PartFolder
from fedask.client.store.sqlite import key_rotation
from fedask.client.store.sqlite.annotations import SqliteAnnotations
from fedask.client.store.sqlite.arrivals import SqliteArrivals, SqliteCuts
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.erasure import SqliteErasure
from fedask.client.store.sqlite.label_queue import SqliteLabelQueue
from fedask.client.store.sqlite.local_model import SqliteLocalModel
from fedask.client.store.sqlite.notes import SqliteClasses, SqliteMilestones
from fedask.client.store.sqlite.payloads import SqlitePayloads
from fedask.client.store.sqlite.query_outcomes import SqliteQueryOutcomes
from fedask.client.store.sqlite.rights import SqliteRights
from fedask.client.store.sqlite.scores import (
    SqliteModels,
    SqlitePseudoLabels,
    SqliteScores,
)
from fedask.common.ids import Uid
from fedask.common.seal import Key


class SqliteStore(DeviceStore):
    """The durable store of a device.

    Parameters
    ----------
    path
        The file; made if missing, in a folder that must exist.
    keyring
        Where the device's key is; by default a key file beside the store.
    audit
        Records every change. Without one, a file that has a log can only be read.
    parts
        By default a folder beside the file.
    connect
        Opens the file; a test gives one that ends in the middle.

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
        *,
        parts: PartStore | None = None,
        connect: Callable[[Path, Keyring | None, Audit], Connection] = Connection,
    ) -> None:
        self.connection = opened = connect(path, keyring, audit)
        self.erasure = erasure = SqliteErasure(opened)
        self.rights = rights = SqliteRights(opened, erasure)
        self.scores = scores = SqliteScores(opened, erasure)
        self.cuts = cuts = SqliteCuts(opened)
        self.annotations = annotations = SqliteAnnotations(opened)
        self.queue = SqliteLabelQueue(
            opened, annotations, erasure, rights, scores, cuts
        )
        self.models = SqliteModels(opened)
        self.arrivals = SqliteArrivals(opened, erasure, rights)
        self.query_outcomes = SqliteQueryOutcomes(opened, erasure)
        self.pseudo_labels = SqlitePseudoLabels(opened)
        self.local_model = SqliteLocalModel(opened, erasure)
        self.milestones = SqliteMilestones(opened)
        self.payloads = SqlitePayloads(opened, erasure, quota or StoreQuota())
        self.classes = SqliteClasses(opened)
        self.parts = parts or PartFolder(path.with_name(path.name + PARTS))

    @override
    def record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        *,
        at: datetime | None,
        **facts: Fact,
    ) -> None:
        with self.connection.transaction() as db:
            audit = self.connection.audit
            audit.append(db, event, uids=uids, annotator=None, at=at, **facts)

    @override
    def close(self) -> None:
        self.connection.close()

    @property
    def index_key(self) -> Key:
        """Key that seals the index of the data beside this store; it never changes."""
        return self.connection.key_vault.key_for("index")

    def rotate(self) -> None:
        """Change the device's key; see ``key_rotation``."""
        audit = self.connection.audit
        key_rotation.rotate(
            self.connection.key_vault,
            self.connection.transaction,
            lambda db: audit.append(db, Event.KEY_ROTATED, which="device"),
        )
        with self.connection.reading():
            self.connection.clean()

    def problem(self) -> str:
        """Return what is wrong with the file, or "" if it is sound. Reads all of it."""
        with self.connection.reading() as db:
            (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
        return "" if told == "ok" else str(told)
