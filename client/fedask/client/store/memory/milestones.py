"""Milestones in memory: what ``sqlite.milestones`` keeps in a note."""

from typing_extensions import override

from fedask.client.records.milestone import (
    Milestone,
    MilestoneStore,
    with_milestone,
)


class MemoryMilestones(MilestoneStore):
    """How good the fleet's model became. Nothing here survives the process."""

    _milestones: tuple[Milestone, ...] = ()

    @override
    def put_milestone(self, milestone: Milestone) -> None:
        self._milestones = tuple(with_milestone(self._milestones, milestone))

    @override
    def milestones(self) -> list[Milestone]:
        return list(self._milestones)
