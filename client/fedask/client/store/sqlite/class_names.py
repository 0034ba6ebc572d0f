"""What the classes of a device's labels are called. Part of ``store.SqliteStore``.

A label is the index of its class, so the names must stay in their places for as long as
there are labels: an app that lists them in another order would turn what people said
into something else, without a word. One note, in clear: the names are the app's, and
the same on every device of the fleet.
"""

import json
import sqlite3
from collections.abc import Sequence

from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.note import CLASSES, note, put_note
from fedask.common.errors import ConfigError

_ANY_LABEL = """SELECT EXISTS (SELECT 1 FROM annotation)
    OR EXISTS (SELECT 1 FROM item WHERE label IS NOT NULL)"""


class SqliteClasses(Connection):
    """The names of the classes."""

    def keep_classes(self, names: Sequence[str]) -> None:
        """Hold the labels to the names of their classes; the first names are kept.

        New ones may follow at the end, and without labels there may be any.

        Parameters
        ----------
        names
            Of the task that is about to read or write labels.

        Raises
        ------
        ConfigError
            If there are labels of other classes.
        """
        wanted = list(names)
        with self._reading() as db:
            if _kept(db) == wanted:
                return
        with self._transaction() as db:
            kept = _kept(db)
            grows = wanted[: len(kept)] == kept
            if not grows and db.execute(_ANY_LABEL).fetchone()[0]:
                msg = "the labels in the store are of the classes "
                msg += f"{', '.join(kept)}; the app has {', '.join(wanted)}: leave the "
                msg += "names of a fleet's classes as they are and in their places, "
                msg += "with new ones at the end; another task needs another store"
                raise ConfigError(msg)
            put_note(db, CLASSES, json.dumps(wanted).encode())


def _kept(db: sqlite3.Connection) -> list[str]:
    return list(json.loads(note(db, CLASSES) or b"[]"))
