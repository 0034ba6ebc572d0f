"""In-memory doubles of the device's seams, shipped for tests and large simulations.

Each passes the same contract test as the real one. Nothing here survives the process.
"""

from fedask.client.testing.audit import MemoryAudit
from fedask.client.testing.clock import FakeClock
from fedask.client.testing.keyring import MemoryKeyring
from fedask.client.testing.store import MemoryStore

__all__ = ["FakeClock", "MemoryAudit", "MemoryKeyring", "MemoryStore"]
