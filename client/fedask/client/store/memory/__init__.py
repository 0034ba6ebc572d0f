"""In-memory doubles of the device's seams, shipped for tests and large simulations.

Each passes the same contract test as the real one. Nothing here survives the process.
"""

from fedask.client.store.memory.audit import MemoryAudit
from fedask.client.store.memory.clock import FakeClock
from fedask.client.store.memory.keyring import MemoryKeyring
from fedask.client.store.memory.store import MemoryStore

__all__ = ["FakeClock", "MemoryAudit", "MemoryKeyring", "MemoryStore"]
