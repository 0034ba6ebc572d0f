"""Milestones in the device's store: in its SQLite file, and in memory.

Part of ``store.SqliteStore`` and ``testing.MemoryStore``. One small value under a name,
written whole: no table, so that older versions can still open the file.

They are not sealed. The accuracy is the server's own number, of no sample and no
person, and the same on every device of the fleet; when it came says no more than the
times of cycles and verdicts, and how many answers were trained on can be counted in the
queue: both are in clear (ADR 10).
"""

import json
from datetime import datetime

from typing_extensions import override

from fedask.client.storage.connection import Connection
from fedask.client.training.milestone import (
    Milestone,
    MilestoneStore,
    with_milestone,
)

_NOTE = "SELECT value FROM note WHERE name = 'milestones'"
_PUT = "INSERT OR REPLACE INTO note (name, value) VALUES ('milestones', ?)"


class SqliteMilestones(Connection, MilestoneStore):
    """How good the fleet's model became."""

    @override
    def put_milestone(self, milestone: Milestone) -> None:
        with self._transaction() as db:
            before = self.milestones()
            after = with_milestone(before, milestone)
            if after != before:
                db.execute(_PUT, (_to_bytes(after),))

    @override
    def milestones(self) -> list[Milestone]:
        with self._reading() as db:
            row = db.execute(_NOTE).fetchone()
        return [] if row is None else _from_bytes(row[0])


class MemoryMilestones(MilestoneStore):
    """The same in memory."""

    _milestones: tuple[Milestone, ...] = ()

    @override
    def put_milestone(self, milestone: Milestone) -> None:
        self._milestones = tuple(with_milestone(self._milestones, milestone))

    @override
    def milestones(self) -> list[Milestone]:
        return list(self._milestones)


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
