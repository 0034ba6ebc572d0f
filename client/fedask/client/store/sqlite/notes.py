"""Milestones and names of classes in a device's SQLite file. Parts of ``store``.

Each is one small value, kept as a note.

Neither is sealed. The names are the app's, and the same on every device of the fleet.
The accuracy of a milestone is the server's own number, of no sample and no person; when
it came says no more than the times of cycles and annotations, and how many answers were
trained on can be counted in the queue: both are in clear (ADR 10).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from fedask.client.records.device_store import ClassStore, check_classes
from fedask.client.records.milestone import Milestone, MilestoneStore, with_milestone
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.schema import CLASSES, MILESTONES, note, put_note

_ANY_LABEL = "SELECT EXISTS (SELECT 1 FROM annotation)"


@dataclass(slots=True)
class SqliteMilestones(MilestoneStore):
    """The milestones of one connection."""

    _connection: Connection

    @override
    def put(self, milestone: Milestone) -> None:
        with self._connection.transaction() as db:
            before = self.all()
            after = with_milestone(before, milestone)
            if after != before:
                rows = [
                    (m.cycle, m.accuracy, m.at.isoformat(), m.trained, m.run)
                    for m in after
                ]
                put_note(db, MILESTONES, json.dumps(rows).encode())

    @override
    def all(self) -> list[Milestone]:
        with self._connection.reading() as db:
            rows = json.loads(note(db, MILESTONES) or b"[]")
        return [
            Milestone(
                cycle=cycle,
                accuracy=accuracy,
                at=datetime.fromisoformat(at),
                trained=trained,
                run=run[0] if run else "",  # stores of before runs had names
            )
            for cycle, accuracy, at, trained, *run in rows
        ]


@dataclass(slots=True)
class SqliteClasses(ClassStore):
    """The names of the classes of one connection."""

    _connection: Connection

    @override
    def keep(self, names: Sequence[str]) -> None:
        value = json.dumps(list(names)).encode()
        with self._connection.reading() as db:
            if note(db, CLASSES) == value:
                return
        with self._connection.transaction() as db:
            if db.execute(_ANY_LABEL).fetchone()[0]:
                check_classes(json.loads(note(db, CLASSES) or b"[]"), names)
            put_note(db, CLASSES, value)
