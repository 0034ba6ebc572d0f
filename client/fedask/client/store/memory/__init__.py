"""The device's store in memory, for large simulations and for tests.

It passes the same contract tests as the one on SQLite.
"""

from fedask.client.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
