"""The last scoring and models in memory: what ``sqlite.scores`` says in SQL."""

import numpy as np
from typing_extensions import override

from fedask.client.records.audit_event import Event
from fedask.client.records.device_store import ScoreStore, Waiting
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.common.arrays import Arrays
from fedask.common.grid import Scored
from fedask.common.ids import Uid


class MemoryScores(MemoryAnnotations, ScoreStore):
    """Scores and models. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._scores: tuple[str, Scored] | None = None
        self._models: dict[str, list[Arrays]] = {}
        self._last_cycle = 0

    @override
    def put_scores(
        self, version: str, scored: Scored, waiting: Waiting | None = None
    ) -> None:
        self._scores = (version, scored)
        self._drop_scores(list(self._forgotten))
        self._record(Event.SCORED, kept=len(self._scores[1]))
        if waiting is not None:
            known = waiting.scores.keys() & self._items.keys()
            self._priority |= {uid: waiting.scores[uid] for uid in known}
            gone = self._forgotten.keys()
            self._near = frozenset(p for p in waiting.near if gone.isdisjoint(p))

    @override
    def scores(self) -> tuple[str, Scored] | None:
        return self._scores

    @override
    def last_cycle(self) -> int:
        return self._last_cycle

    @override
    def put_model(self, kind: str, arrays: Arrays, keep: int) -> None:
        self._models[kind] = [*self._models.get(kind, []), arrays][-keep:]

    @override
    def models(self, kind: str) -> list[Arrays]:
        return list(self._models.get(kind, []))

    def _drop_scores(self, uids: list[Uid]) -> None:
        if self._scores is not None and uids:
            version, scored = self._scores
            stays = ~np.isin(scored.uids, sorted(uids))
            self._scores = (version, scored if stays.all() else scored.keep(stays))
