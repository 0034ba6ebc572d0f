"""Pseudo-labels in memory: what ``sqlite.pseudo_labels`` keeps in a table."""

from collections.abc import Sequence

from typing_extensions import override

from fedask.client.records.pseudo_label import PseudoLabel, PseudoLabelStore
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.common.ids import Uid


class MemoryPseudoLabels(MemoryAnnotations, PseudoLabelStore):
    """Automatic labels. Nothing here survives the process."""

    def __init__(self) -> None:
        super().__init__()
        self._sure: dict[Uid, PseudoLabel] = {}

    @override
    def put_sure(self, sure: Sequence[PseudoLabel]) -> None:
        controls = {s.uid: s for s in self._sure.values() if s.control}
        self._sure = {s.uid: s for s in sure} | controls

    @override
    def sure(self) -> list[PseudoLabel]:
        return [self._sure[uid] for uid in sorted(self._sure)]
