"""Scores, models and what models said, in memory. Parts of ``store``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import (
    LOCAL_MODEL,
    ModelStore,
    ScoreStore,
    Waiting,
)
from fedask.client.records.local_model import (
    LocalModelRecord,
    LocalModelStore,
    fresh_answers,
)
from fedask.client.records.pseudo_label import PseudoLabel, PseudoLabelStore
from fedask.client.store.memory.tables import MemoryTables
from fedask.common.arrays import Arrays
from fedask.common.grid import Scored
from fedask.common.ids import Uid


@dataclass(slots=True)
class MemoryScores(ScoreStore):
    """The scores of the last scoring."""

    _tables: MemoryTables

    @override
    def put(self, version: str, scored: Scored, waiting: Waiting | None = None) -> None:
        tables, gone = self._tables, self._tables.forgotten.keys()
        tables.scores = (version, scored)
        self.drop(gone)
        tables.record(Event.SCORED, kept=len(tables.scores[1]))
        if waiting is not None:
            known = waiting.scores.keys() & tables.items.keys()
            tables.priority |= {uid: waiting.scores[uid] for uid in known}
            tables.near = frozenset(p for p in waiting.near if gone.isdisjoint(p))

    @override
    def last(self) -> tuple[str, Scored] | None:
        return self._tables.scores

    def drop(self, uids: Collection[Uid]) -> None:
        """Take samples out of the scores."""
        if self._tables.scores is not None and uids:
            version, scored = self._tables.scores
            stays = ~np.isin(scored.uids, sorted(uids))
            self._tables.scores = (
                version,
                scored if stays.all() else scored.keep(stays),
            )


class MemoryModels(ModelStore):
    """Models by kind."""

    def __init__(self, tables: MemoryTables) -> None:
        self._models = tables.models

    @override
    def put(self, kind: str, arrays: Arrays, keep: int) -> None:
        self._models[kind] = [*self._models.get(kind, []), arrays][-keep:]

    @override
    def all(self, kind: str) -> list[Arrays]:
        return list(self._models.get(kind, []))


@dataclass(slots=True)
class MemoryLocalModel(LocalModelStore):
    """The local model's record; the model is among the others."""

    _tables: MemoryTables

    @override
    def put(self, record: LocalModelRecord, arrays: Arrays | None) -> bool:
        tables = self._tables
        if any(uid in tables.forgotten for uid in record.answers):
            return False
        fresh = sorted(fresh_answers(record.answers, tables.local_model))
        tables.local_model = record
        tables.models.pop(LOCAL_MODEL, None)
        if arrays is not None:
            tables.models[LOCAL_MODEL] = [arrays]
        answers = len(record.answers)
        tables.record(Event.LOCAL_TRAINED, fresh, at=record.at, answers=answers)
        return True

    @override
    def record(self) -> LocalModelRecord | None:
        return self._tables.local_model


@dataclass(slots=True)
class MemoryPseudoLabels(PseudoLabelStore):
    """Pseudo-labels."""

    _tables: MemoryTables

    @override
    def put(self, labels: Sequence[PseudoLabel]) -> None:
        kept = self._tables.pseudo_labels
        controls = {uid: each for uid, each in kept.items() if each.control}
        self._tables.pseudo_labels = {each.uid: each for each in labels} | controls

    @override
    def all(self) -> list[PseudoLabel]:
        return sorted(self._tables.pseudo_labels.values(), key=lambda each: each.uid)
