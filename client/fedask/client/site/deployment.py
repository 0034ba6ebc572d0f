"""Opens a real device behind a SuperNode for one message.

Called by the ClientApp, with the folder that ``fedask device init`` made:
``flower-supernode --node-config 'site="/srv/ward-3"'``. The server has no say in what
stands there. Simulations do not come here: made-up devices ask nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fedask.client.data.rights.rights_policy import ASK
from fedask.client.labelling.oracles.file_oracle import FileOracle
from fedask.client.labelling.oracles.oracle import Nobody
from fedask.client.round.device import Device
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.task import Task


@contextmanager
def open_device(folder: DeviceFolder, task: Task) -> Iterator[Device]:
    """Open the device for one message.

    Parameters
    ----------
    folder
        Of the device; must stay open.
    task
        The server's, for the names of the classes: in the store and in the file of
        labels.

    Raises
    ------
    ConfigError, DataError, StoreError
        If a file cannot be used.
    ProtocolError
        If the labels in the store are of other classes than the task.
    UnavailableError
        If the device may not train now; from the device, when it no longer may.
    """
    settings, _ = folder.settings, folder.rights
    with folder.guard() as guard:
        store = folder.store
        try:
            store.classes.keep(task.classes)
        except ConfigError as err:  # here the app is the server's
            raise ProtocolError(str(err)) from err
        held, labels = folder.held, settings.labels
        yield Device(
            device_id=settings.device,
            pool=held.pool(ASK, guard.check),
            store=store,
            oracle=Nobody() if labels is None else FileOracle(labels, task.classes),
            proceed=guard.check,
            training_pool=held.training_pool(guard.check),
            clock=folder.clock,
            keeps_model=settings.local_model.on,
        )
