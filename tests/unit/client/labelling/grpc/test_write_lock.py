from datetime import UTC, datetime

import pytest
from tests.support.client.clock import FakeClock

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.error_table import BusyStoreError
from fedask.client.labelling.grpc.write_lock import WriteLock
from fedask.client.store.memory import MemoryStore


@pytest.fixture
def lock() -> WriteLock:
    return WriteLock(wait_s=0.01)


@pytest.fixture
def desk(lock: WriteLock) -> Desk:
    clock = FakeClock(datetime(2026, 5, 4, 12, tzinfo=UTC))
    settings = DeskSettings(classes=2)
    return Desk(MemoryStore().annotations, clock, settings, write_lock=lock)


def test_who_waits_for_too_long_is_told_that_the_store_is_busy(
    lock: WriteLock, desk: Desk
) -> None:
    with lock, pytest.raises(BusyStoreError):
        desk.lease("ann", 1)

    assert desk.lease("ann", 1) == []  # and is served when it is free


def test_the_turn_is_given_on_after_a_failure(lock: WriteLock) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), lock:
            raise KeyError
