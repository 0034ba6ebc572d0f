"""What the last global model takes a sample for, where people ask to see it.

Made by ``fedask device serve``. Loads torch and the model at the first question, in the
thread that asks; the store keeps a global model where ``stream.controller`` is on, or a
committee scores. It answers for every sample of the data, hidden controls too: who got
a guess for some samples only could tell which ones the site knows already.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from fedask.client.page.helps import Guesses
from fedask.client.site.site import Site
from fedask.common.clock import Clock
from fedask.common.errors import DataError
from fedask.common.ids import Uid

if TYPE_CHECKING:
    from fedask.client.training.learner import Learner


class ModelGuesses(Guesses):
    """Guesses of the newest global model that the device has.

    Parameters
    ----------
    folder
        Of the site; opened once more, for the one thread that asks.
    clock
        Of the site.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._site: Site | None = None
        self._learner: Learner | None = None

    @override
    def guess(self, uid: Uid) -> int | None:
        from fedask.client.asking.viewer import GLOBAL  # noqa: PLC0415  (imports torch)

        if self._site is None:
            self._site = Site.at(self._folder, self._clock, "page")
        models = self._site.store.models(GLOBAL)
        if not models:
            return None
        try:
            raw = self._site.pool.load([uid])
        except DataError:
            return None  # it is not there any more, or came after the page was opened
        learner = self._made(self._site)
        learner.load(models[-1])
        return int(learner.predict(raw)[0].argmax())

    def _made(self, site: Site) -> "Learner":
        from fedask.client.training.learner import Learner  # noqa: PLC0415  (imports torch)

        if self._learner is None:
            self._learner = Learner(site.task, site.scenario.train)
        return self._learner
