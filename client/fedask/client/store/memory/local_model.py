"""A device's own model, in memory: what ``sqlite.local_model`` says in SQL."""

from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.local_model import (
    LocalModelRecord,
    LocalModelStore,
    fresh_answers,
)
from fedask.client.records.model_kind import OWN
from fedask.client.store.memory.scores import MemoryScores
from fedask.common.arrays import Arrays


class MemoryLocalModel(MemoryScores, LocalModelStore):
    """The own model. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._own: LocalModelRecord | None = None

    @override
    def put_own(self, record: LocalModelRecord, arrays: Arrays | None) -> bool:
        if any(uid in self._forgotten for uid in record.answers):
            return False
        fresh = sorted(fresh_answers(record.answers, self._own))
        self._own = record
        self._models.pop(OWN, None)
        if arrays is not None:
            self._models[OWN] = [arrays]
        self._record(
            Event.OWN_TRAINED, fresh, at=record.at, answers=len(record.answers)
        )
        return True

    @override
    def own(self) -> LocalModelRecord | None:
        return self._own
