"""The class that a model predicts for a sample, for people who ask to see it.

Made by ``fedask device serve``. Loads torch and the model while somebody looks at the
first sample, in the thread that asks: both take seconds. It is the local model, where
that began from the newest global one, and else the newest global one: that knows more
then. The store keeps a global model unless the owner turned local training off
(``answers = 0``), and with a stream or a committee even so. It answers for every sample
of the data, hidden controls too: who got a guess for some samples only could tell which
ones the site knows already.
"""

from contextlib import AbstractContextManager

from typing_extensions import override

from fedask.client.labelling.web.hints import Guess, Guesses
from fedask.client.records.device_store import GLOBAL, LOCAL_MODEL
from fedask.client.records.local_model import is_newest
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.arrays import Arrays
from fedask.common.errors import DataError
from fedask.common.ids import Uid


class ModelGuesses(Guesses, AbstractContextManager["ModelGuesses"]):
    """Predicts classes with the newest model of this device.

    Parameters
    ----------
    folder
        Of the device; opened again, for the one thread that asks.
    """

    def __init__(self, folder: DeviceFolder) -> None:
        self._folder = folder.again("page")

    @override
    def __exit__(self, *_: object) -> None:
        self._folder.__exit__(None, None, None)

    @override
    def prepare(self) -> None:
        folder = self._folder
        chosen = _chosen(folder.store)
        uids = folder.pool.uids[:1].tolist()
        if chosen is not None and uids:
            self.guess(Uid(uids[0]))  # also what torch sets up at its first use

    @override
    def guess(self, uid: Uid) -> Guess | None:
        folder = self._folder
        chosen = _chosen(folder.store)
        if chosen is None:
            return None
        try:
            raw = folder.pool.load([uid])
        except DataError:
            return None  # it is not there any more, or came after the page was opened
        arrays, is_local = chosen
        learner = folder.run.learner
        learner.load(arrays)
        return Guess(label=int(learner.predict(raw)[0].argmax()), local=is_local)


def _chosen(store: SqliteStore) -> tuple[Arrays, bool] | None:
    """Return the model that predicts, and whether it is the local one."""
    shared = store.models.all(GLOBAL)
    if not shared:
        return None
    local = (
        store.models.all(LOCAL_MODEL)
        if is_newest(store.local_model.record(), shared[-1])
        else []
    )
    return (local[-1], True) if local else (shared[-1], False)
