from collections.abc import Iterator
from pathlib import Path

import pytest

from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[MemoryStore | SqliteStore]:
    made: MemoryStore | SqliteStore = MemoryStore()
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "device.db")
    yield made
    made.close()
