import threading

import pytest

from fedask.client.labelling.grpc.error_table import BusyStoreError
from fedask.client.labelling.grpc.write_lock import WriteLock
from fedask.client.store.memory import MemoryStore


def test_who_waits_for_too_long_is_told_that_the_store_is_busy() -> None:
    turn = threading.Lock()
    turns = WriteLock(MemoryStore().annotations, turn, wait_s=0.01)
    with turn, pytest.raises(BusyStoreError), turns.transaction():
        pass

    with turns.transaction() as rows:  # and is served when it is free
        assert rows.leased() == []


def test_the_turn_is_given_on_after_a_failure() -> None:
    turns = WriteLock(MemoryStore().annotations, threading.Lock(), wait_s=0.01)
    for _ in range(2):
        with pytest.raises(KeyError), turns.transaction():
            raise KeyError
