"""The rows of the own model. Called by ``own`` and ``eraser``, within a transaction.

The arrays stand among the models; the record, which says what people answered, is a
note, sealed. Both come and go together.
"""

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime

from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.model_kind import OWN
from fedask.client.store.keys.key_vault import KeyVault
from fedask.client.store.sqlite.note import OWN as NOTE
from fedask.client.store.sqlite.note import drop_note, note, put_note
from fedask.common.ids import ModelVersion, Uid
from fedask.common.seal import Place, seal, unseal

_KEY = "own"  # purpose of the key
_PLACE = Place("note", "value", NOTE)
_DROP_MODEL = "DELETE FROM model WHERE kind = ?"
_PUT_MODEL = "INSERT INTO model (kind, arrays) VALUES (?, ?)"


def read(db: sqlite3.Connection, vault: KeyVault) -> LocalModelRecord | None:
    """Return the record; None before the first training.

    Raises
    ------
    SealError
        If it cannot be opened.
    """
    sealed = note(db, NOTE)
    if not sealed:
        return None
    kept = json.loads(unseal(vault.key_for(_KEY), sealed, _PLACE))
    return LocalModelRecord(
        base=ModelVersion(kept["base"]),
        answers={Uid(uid): label for uid, label in kept["answers"].items()},
        at=datetime.fromisoformat(kept["at"]),
        usable=kept["usable"],
    )


def write(
    db: sqlite3.Connection,
    vault: KeyVault,
    record: LocalModelRecord,
    encoded: bytes | None,
) -> None:
    """Replace record and model.

    Parameters
    ----------
    encoded
        The model's arrays; None: none is kept.
    """
    drop(db)
    content = json.dumps(
        {
            "base": record.base,
            "answers": dict(record.answers),
            "at": record.at.isoformat(),
            "usable": record.usable,
        }
    )
    put_note(db, NOTE, seal(vault.key_for(_KEY), content.encode(), _PLACE))
    if encoded is not None:
        db.execute(_PUT_MODEL, (OWN, encoded))


def drop(db: sqlite3.Connection) -> None:
    """Keep neither record nor model."""
    drop_note(db, NOTE)
    db.execute(_DROP_MODEL, (OWN,))


def drop_trained_on(
    db: sqlite3.Connection, vault: KeyVault, uids: Collection[Uid]
) -> None:
    """Keep neither if one of these samples was trained on."""
    record = read(db, vault)
    if record is not None and not record.answers.keys().isdisjoint(uids):
        drop(db)
