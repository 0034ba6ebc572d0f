"""Training while the server is out of reach: the device's own model.

Called by whoever runs a device between connections, as often as they like. With
``stream`` (what arrives is scored and queued), ``watching`` (what has arrived) and the
desk (people answer), a device goes on for as long as it must: all that the server is to
learn of it is in the store, and the next message takes it.

The own model is for this device alone. It is trained from the last global model each
time, and nothing of it is ever sent: the next round trains on the same labels from the
model of that round, so that its update is not counted twice.
"""

from fedask.client.asking.viewer import GLOBAL
from fedask.client.device import Device
from fedask.client.setting import Setting
from fedask.common.errors import StoreError
from fedask.common.records import Ask
from fedask.common.weights import Arrays, ArraySpec

OWN = "own"  # kind of the model that a store keeps


def train_offline(device: Device, setting: Setting) -> Arrays | None:
    """Train the last global model on the labels of the device, and keep the result.

    Answers are taken in first, as in a round. No label becomes TRAINED: the server has
    seen none of it. Interrupted by the device's guard, it leaves everything as before.

    Parameters
    ----------
    device
        Of which ``stream.controller`` is on: others keep no global model.
    setting
        Its learner's loaded model changes.

    Returns
    -------
    Arrays
        The own model, kept under ``OWN``; None without a global model or a label, or
        if the training diverged.

    Raises
    ------
    StoreError
        If the kept model is of another task, or the disk refuses.
    UnavailableError
        If the device is not eligible any more.
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
    if not trained.usable:
        return None
    device.store.put_model(OWN, trained.arrays, keep=1)
    return trained.arrays
