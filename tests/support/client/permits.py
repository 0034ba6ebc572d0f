"""Policies of rights, written down for tests."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from fedask.client.records.rights import Permits
from fedask.common.ids import Uid


class Nothing(Permits):
    """A policy that allows nothing."""

    digest = "d" * 64

    @override
    def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
        return [None] * len(uids)
