"""Milestones in the device's SQLite file. Part of ``SqliteStore``.

One small value under a name, written whole: no table, so that older versions can still
open the file.

They are not sealed. The accuracy is the server's own number, of no sample and no
person, and the same on every device of the fleet; when it came says no more than the
times of cycles and annotations, and how many answers were trained on can be counted in
the queue: both are in clear (ADR 10).
"""

import json
from datetime import datetime

from typing_extensions import override

from fedask.client.records.milestone import (
    Milestone,
    MilestoneStore,
    with_milestone,
)
from fedask.client.store.sqlite.connection import Connection
from fedask.client.store.sqlite.note import MILESTONES, note, put_note


class SqliteMilestones(Connection, MilestoneStore):
    """How good the fleet's model became."""

    @override
    def put_milestone(self, milestone: Milestone) -> None:
        with self._transaction() as db:
            before = self.milestones()
            after = with_milestone(before, milestone)
            if after != before:
                put_note(db, MILESTONES, _to_bytes(after))

    @override
    def milestones(self) -> list[Milestone]:
        with self._reading() as db:
            return _from_bytes(note(db, MILESTONES) or b"[]")


def _to_bytes(milestones: list[Milestone]) -> bytes:
    rows = [(m.cycle, m.accuracy, m.at.isoformat(), m.trained) for m in milestones]
    return json.dumps(rows).encode()


def _from_bytes(content: bytes) -> list[Milestone]:
    return [
        Milestone(
            cycle=cycle,
            accuracy=accuracy,
            at=datetime.fromisoformat(at),
            trained=trained,
        )
        for cycle, accuracy, at, trained in json.loads(content)
    ]
