"""Training between rounds: the device's own model.

Called by whoever runs a device between rounds, as often as they like. With ``stream``
(what arrives is scored and queued), ``watching`` (what has arrived) and the desk
(people answer), a device goes on for as long as it must without the server: all that
the server is to learn of it is in the store, and the next message takes it.

The own model is for this device alone. It is trained from the last global model each
time, and nothing of it is ever sent: the next round trains on the same labels from the
model of that round, so that its update is not counted twice.
"""

from datetime import datetime

from fedask.client.device import Begun, Device
from fedask.client.setting import Setting
from fedask.client.storage.kinds import GLOBAL
from fedask.client.training.own import OwnRecord
from fedask.common.errors import StoreError, UnavailableError
from fedask.common.ids import Uid
from fedask.common.records import Ask
from fedask.common.weights import ArraySpec, model_version


def train_offline(device: Device, setting: Setting, now: datetime) -> OwnRecord | None:
    """Train the last global model on the labels of the device, and keep the result.

    Answers are taken in first, as in a round. No label becomes TRAINED: the server has
    seen none of it. Interrupted by the device's guard, it leaves everything as before.

    Parameters
    ----------
    device
        Of which ``stream.controller`` or ``keeps_model`` is on: others keep no global
        model.
    setting
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
    cycle, models = device.store.last_cycle(), device.store.models(GLOBAL)
    if not models or not cycle:
        return None
    learner = setting.learner
    if ArraySpec.of(models[-1]) != learner.spec:
        msg = "the model in the store is not one of this task: was the store made for "
        msg += "another?"
        raise StoreError(msg)
    learner.load(models[-1])
    begun = device.begin(setting, Ask(cycle=cycle, step=0), prox=0.0)
    if begun.lesson is None:
        return None
    trained = learner.train(begun.lesson, device.proceed)
    record = OwnRecord(
        base=model_version(models[-1]),
        answers=_learnt(begun),
        at=now,
        usable=trained.usable,
    )
    if not device.store.put_own(record, trained.arrays if trained.usable else None):
        msg = "a sample was erased while the own model was trained on it"
        raise UnavailableError(msg)
    return record


def _learnt(begun: Begun) -> dict[Uid, int]:
    """Return the people's answers of a lesson; others said nothing that is kept."""
    return {
        item.uid: item.label
        for item in begun.labelled
        if item.label is not None and item.uid in begun.training.uids
    }
