"""Trains a device's local model when there are enough new answers.

Called by ``fedask device run-once`` and ``watch`` after a look at the data, with the
server there or gone. Never trains when too little has changed, when the owner's
``[eligible]`` settings are against it, or while another process does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fedask.client.data.rights.holdings import Holdings
from fedask.client.data.rights.rights_policy import ASK
from fedask.client.labelling.oracles.oracle import Nobody
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState
from fedask.client.records.local_model import LocalModelRecord, fresh_answers
from fedask.client.records.pool import Pool
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.store.sqlite.claim import claimed
from fedask.common.errors import UnavailableError
from fedask.common.ids import Uid

CLAIM = ".training"  # beside the store: the file that stands for the work
_ANSWERED = frozenset({ItemState.LABELLED, ItemState.TRAINED})


class TrainingDecision(StrEnum):
    """How an attempt to train the local model ended."""

    TRAINED = "trained"
    DIVERGED = "diverged"  # trained, and worth nothing: not tried again until due
    OFF = "off"  # the owner wants none
    WAITS = "waits"  # for more answers
    NO_MODEL = "no-model"  # there is no global one yet to begin from
    UNAVAILABLE = "unavailable"  # not eligible, or told to stop: the next look tries
    BUSY = "busy"  # another process is at it


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to train the local model, and how it ended.

    Parameters
    ----------
    answers
        That it was trained on; 0 if it was not.
    why
        Why not, for the owner; "" if it was.
    """

    outcome: TrainingDecision
    answers: int = 0
    why: str = ""

    @property
    def summary(self) -> str:
        """One sentence about the attempt, for people."""
        if self.outcome is TrainingDecision.TRAINED:
            return f"local model trained on {self.answers} answers"
        return f"local model not trained: {self.why}"


class LocalTraining:
    """Trains the local model of a device, as often as it is due.

    Parameters
    ----------
    folder
        Of the device; must stay open.
    proceed
        Called between two steps, beside the device's guard; raises ``UnavailableError``
        to end the training.
    """

    def __init__(
        self,
        folder: DeviceFolder,
        proceed: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._proceed = proceed

    def attempt(self, held: Holdings | None) -> Attempt:
        """Train now, if there are enough new answers and the device is eligible.

        Killed at any moment, it leaves what was there before, or the new model.

        Parameters
        ----------
        held
            What may be done with the samples, as of the last look; None without any.

        Raises
        ------
        DataError
            If a sample or a label cannot be used.
        StoreError
            If the store is of another task, or the disk refuses.
        """
        wanted = self._folder.settings.local_model.answers
        if not wanted:
            why = "[local_model] answers = 0 in device.toml"
            return Attempt(outcome=TrainingDecision.OFF, why=why)
        if held is None:
            return Attempt(outcome=TrainingDecision.WAITS, why="there are no samples")
        hindered = self._hindered(held, wanted)
        if hindered is not None:
            return hindered
        path = self._folder.settings.store
        with claimed(path.with_name(path.name + CLAIM)) as ours:
            if not ours:
                return Attempt(
                    outcome=TrainingDecision.BUSY, why="another process is at it"
                )
            # It may have been trained between our look and our claim.
            return self._hindered(held, wanted) or self._guarded(held)

    def _hindered(self, held: Holdings, wanted: int) -> Attempt | None:
        """Return why there is nothing to train now, or None; imports no torch."""
        store = self._folder.store
        answers = {
            item.uid: item.label
            for item in store.queue.items()
            if item.state in _ANSWERED and item.label is not None
        }
        fresh = fresh_answers(answers, store.local_model.record())
        if len(fresh) >= wanted:  # most looks do not come to asking the pool
            fresh = _permitted(fresh, held)
        if len(fresh) < wanted:
            why = f"{len(fresh)} new answers, [local_model] answers = {wanted}"
            return Attempt(outcome=TrainingDecision.WAITS, why=why)
        if not store.models.all(GLOBAL):
            why = "no global model yet: it comes with the scoring round of a cycle"
            return Attempt(outcome=TrainingDecision.NO_MODEL, why=why)
        return None

    def _guarded(self, held: Holdings) -> Attempt:
        guard = self._folder.guard()
        obstacles = guard.look()  # entering it would put them into the log every time
        if obstacles:
            why = "; ".join(obstacle.sentence for obstacle in obstacles)
            why = f"not eligible: {why}"
            return Attempt(outcome=TrainingDecision.UNAVAILABLE, why=why)
        try:
            with guard:
                record = self._train(held, guard.check)
        except UnavailableError as err:
            return Attempt(outcome=TrainingDecision.UNAVAILABLE, why=str(err))
        if record is None:  # what it was to be trained on is gone since
            return Attempt(
                outcome=TrainingDecision.WAITS, why="there is nothing to train on"
            )
        if not record.usable:
            why = (
                "the training gave no usable model: is the app's train.lr too high? "
                "fedask device doctor tries the model"
            )
            return Attempt(outcome=TrainingDecision.DIVERGED, why=why)
        return Attempt(outcome=TrainingDecision.TRAINED, answers=len(record.answers))

    def _train(
        self, held: Holdings, check: Callable[[], None]
    ) -> LocalModelRecord | None:
        from fedask.client.round.device import Device  # noqa: PLC0415  (imports torch)
        from fedask.client.round.offline_training import train_offline  # noqa: PLC0415  (imports torch)

        def proceed() -> None:
            self._proceed()
            check()

        folder, pool = self._folder, held.pool(ASK, proceed)
        device = Device(
            device_id=folder.settings.device,
            pool=pool,
            store=folder.store,
            oracle=Nobody(),
            proceed=proceed,
            training_pool=_training_pool(held, proceed),
        )
        return train_offline(device, folder.run, folder.clock.now())


def _training_pool(held: Holdings, check: Callable[[], None] | None = None) -> Pool:
    """Return what may be trained on: a file that is gone is passed over, no error."""
    training_pool = held.training_pool(check)
    return held.pool(ASK, check) if training_pool is None else training_pool


def _permitted(answers: Mapping[Uid, int], held: Holdings) -> dict[Uid, int]:
    """Leave out answers that may not be trained on, or whose samples are gone."""
    here = _training_pool(held).has(list(answers)).tolist()
    return {
        uid: label for (uid, label), ok in zip(answers.items(), here, strict=True) if ok
    }
