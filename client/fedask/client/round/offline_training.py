"""Trains the local model of a device between two rounds.

Called by whoever runs a device between rounds, as often as they like. With ``stream``
(what arrives is scored and queued), ``watching`` (what has arrived) and the desk
(people answer), a device goes on for as long as it must without the server: all that
the server is to learn of it is in the store, and the next message takes it.

The local model is for this device alone. It is trained from the last global model each
time, and nothing of it is ever sent: the next round trains on the same labels from the
model of that round, so that its update is not counted twice.

Alone it would soon be worse than the model it began from: there is no mean with other
devices to hold it. So it takes small steps, as many as in a cycle, and what is kept
lies halfway between where it began and where it came.

References
----------
Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1 with
the mixing coefficient that they recommend where there is nothing to choose it by.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.training_step import TrainingJob, decayed
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.round.device import BegunRound, Device
from fedask.common.arrays import Arrays, model_version
from fedask.common.errors import UnavailableError
from fedask.common.ids import Uid
from fedask.common.records import Ask

CAUTION = 0.3  # of a round's learning rate; found on the digits, with HALFWAY
HALFWAY = 0.5


def train_offline(
    device: Device, run: RunContext, now: datetime
) -> LocalModelRecord | None:
    """Train the last global model on the labels of the device, and keep the result.

    Answers are taken in first, as in a round. No label becomes TRAINED: the server has
    seen none of it. Interrupted by the device's guard, it leaves everything as before.

    Parameters
    ----------
    device
        Of which ``stream.controller`` or ``keeps_model`` is on: others keep no global
        model.
    run
        Its learner's loaded model changes.
    now
        Aware.

    Returns
    -------
    OwnRecord
        As it is kept, not usable if the training diverged; None without a global model
        or a label.

    Raises
    ------
    StoreError
        If the kept model is of another task, or the disk refuses.
    UnavailableError
        If the device is not eligible any more, or a sample was erased meanwhile.
    FedaskError
        As ``Device.begin``.
    """
    cycle, models = device.store.cuts.last_cycle(), device.store.models.all(GLOBAL)
    if not models or not cycle:
        return None
    run.learner.load_stored(models[-1])
    begun = device.begin(run, Ask(cycle=cycle, step=0), prox=0.0)
    if not isinstance(begun.job, TrainingJob):  # it has nothing to train on
        return None
    arrays = _train_rounds(device, run, begun.job, models[-1])
    record = LocalModelRecord(
        base=model_version(models[-1]),
        answers=_trained_answers(begun),
        at=now,
        usable=arrays is not None,
    )
    if not device.store.local_model.put(record, arrays):
        raise UnavailableError(
            "a sample was erased while the local model was trained on it"
        )
    return record


def _train_rounds(
    device: Device, run: RunContext, job: TrainingJob, shared: Arrays
) -> Arrays | None:
    """Train for as many rounds as a cycle has; None if training diverged."""
    learner, config = run.learner, run.scenario.train
    arrays = shared
    for step in range(config.rounds):
        learner.load(arrays)
        part = replace(
            job,
            lr=CAUTION * decayed(config.lr, step, config.rounds),
            stream=(*job.stream, "own", step),
        )
        trained = learner.train(part, device.proceed)
        if not trained.usable:
            return None
        arrays = trained.arrays
    return {name: _halfway(shared[name], arrays[name]) for name in shared}


def _halfway(first: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of two float arrays; of integer arrays (counters) the last.

    What training left alone stays to the bit, infinity included.
    """
    if not np.issubdtype(first.dtype, np.floating):
        return last
    between: NDArray[Any] = first.copy()
    moved = first != last
    between[moved] += (last[moved] - first[moved]) * first.dtype.type(HALFWAY)
    return between


def _trained_answers(begun: BegunRound) -> dict[Uid, int]:
    """Return the answers of people that the model was trained on."""
    return {
        item.uid: item.label
        for item in begun.labelled
        if item.label is not None and item.uid in begun.training.uids
    }
