"""Looks at a device's data between rounds, and queues new samples for people.

Called by ``fedask device run-once`` and ``watch``, with the server there or gone. Needs
nothing but the folder: the last model, cut and pace are in the store. Never waits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedask.client.data.rights.holdings import Holdings
from fedask.client.data.rights.rights_policy import ASK
from fedask.client.data.sources.source_watch import SourceWatch
from fedask.client.records.pool import DataSource
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.ids import Uid

if TYPE_CHECKING:
    from fedask.client.learning.stream.sample_stream import SampleStream

BATCH_SAMPLES = 256  # a device that is killed repeats at most so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look at the data found.

    Parameters
    ----------
    samples
        In the data now that may be asked.
    new
        Seen for the first time by this process.
    asked
        Of those, queued for people.
    """

    samples: int
    new: int
    asked: int


class DataWatcher:
    """Looks at the data of a device, as often as it is told to.

    Parameters
    ----------
    folder
        Of the device; must stay open.
    """

    def __init__(self, folder: DeviceFolder) -> None:
        self._folder = folder
        self._watch = SourceWatch(self._open_data, self._taken)
        self.held: Holdings | None = None  # as of the last look that found samples

    def look(self) -> Looked:
        """Look at the data now; with ``stream.controller`` on, queue what it chooses.

        Otherwise new samples wait for the next round, which scores the whole pool.

        Raises
        ------
        DataError
            If the data cannot be read. What was found before is kept.
        StoreError
            If the disk refuses.
        """
        new = asked = 0
        for uids, raw in self._watch.look(BATCH_SAMPLES):
            new += len(uids)
            if self._folder.scenario.stream.on:
                asked += len(self._stream().take(uids, raw, self._folder.clock.now()))
        pool = self._watch.pool
        return Looked(samples=0 if pool is None else len(pool), new=new, asked=asked)

    def _taken(self, uids: list[Uid]) -> frozenset[Uid]:
        """Return the samples that were decided about before, or are in the queue."""
        store = self._folder.store
        asked = {item.uid for item in store.queue.items()}
        return store.arrivals.decided(uids) | asked.intersection(uids)

    def _open_data(self) -> DataSource:
        """Look at the data, and read again what may be done with each sample.

        Samples without a right are not even loaded; one that gets it later is new then.
        """
        self.held = self._folder.hold(self._folder.open_data(watch=True))
        return self.held.source(ASK)

    def _stream(self) -> "SampleStream":
        """Return the controller that chooses samples, over the data as it is now."""
        from fedask.client.learning.stream.sample_stream import SampleStream  # noqa: PLC0415  (imports torch)

        folder, pool = self._folder, self._watch.pool
        held = folder.held if self.held is None else self.held
        pool = held.pool(ASK) if pool is None else pool
        return SampleStream(pool, folder.store, folder.run, held.permits)
