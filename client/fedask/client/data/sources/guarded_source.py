"""Samples that load only while the device may work. Made by ``rights.holdings``."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken
from fedask.client.records.pool import DataSource
from fedask.common.ids import Uid


class GuardedSource(DataSource):
    """Samples that are loaded as long as the device is eligible.

    Scoring and measuring load a batch at a time, so this is where they stop.
    """

    def __init__(self, source: DataSource, check: Callable[[], None]) -> None:
        self._source = source
        self._check = check

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._source.uids()

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._check()
        return self._source.load(rows)

    @override
    def broken(self) -> list[Broken]:
        return self._source.broken()

    @override
    def dropped(self) -> frozenset[Uid]:
        return self._source.dropped()
