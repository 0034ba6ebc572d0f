"""A real device behind a SuperNode: opened from the owner's own node configuration.

``flower-supernode --node-config 'data="/srv/wavs" frames=8000 store="/srv/device.db"
labels="/srv/labels.csv" device="ward-3" rights="/srv/rights.toml"'``, or
``--node-config 'site="/srv/ward-3"'`` with the folder that ``fedask device init`` made.
The server has no say in any of these.

``rights`` has no default. A device whose owner has said nothing of what may be done
with the samples does nothing with them; an owner without such a question says so, with
``rights="open"``. Simulations do not come here: made-up devices ask nobody.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flwr.app import Context

from fedask.client.data.rights.holdings import Holdings, read_rights
from fedask.client.data.rights.rights_policy import ASK
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.oracles.file_oracle import FileOracle
from fedask.client.labelling.oracles.oracle import Nobody
from fedask.client.learning.training.local_model_settings import LocalModelSettings
from fedask.client.round.device import Device
from fedask.client.site.eligibility.sensors.machine import MACHINE, Machine, make_guard
from fedask.client.site.node_config import data_options, node_of
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import SystemClock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.ids import parse_device_id
from fedask.common.task import Task


@contextmanager
def open_device(
    task: Task,
    scenario: Scenario,  # noqa: ARG001  (the seam's signature)
    context: Context,
    machine: Machine = MACHINE,
) -> Iterator[Device]:
    """Open the device for one message and close it again.

    Parameters
    ----------
    task
        For the names of the classes, in the store and in the labels file.
    context
        ``node_config``: ``data`` (a file or folder of samples), ``store`` (SQLite file,
        made if missing; an index of the data stands beside it), ``device`` (its
        pseudonym), ``rights`` (a policy file, or ``open``), and optionally ``labels``
        (CSV of answers), ``kind`` and options of the data (see ``open_source``), the
        ``desk-`` settings of ``DeskSettings.from_node``, the ``store-`` settings of
        ``StoreSettings.from_node``, the ``eligible-`` settings of
        ``EligibilitySettings.from_node`` and ``own-answers`` of
        ``LocalModelSettings.from_node``. Or ``site``, a folder with all of these, and
        ``labels``. Those that begin with ``page-`` are for the labelling page, a
        process of its own.
    machine
        What the device's sensors look at.

    Raises
    ------
    ConfigError
        If a key is missing, is none that there is, or a setting is wrong.
    DataError, StoreError
        If a file cannot be used.
    ProtocolError
        If the labels in the store are of other classes than the task.
    UnavailableError
        If the device may not train now; from the device, when it no longer may.
    """
    node = node_of(context.node_config)
    for key in ("data", "store", "device"):
        if key not in node:
            msg = f"the SuperNode's --node-config has no {key}"
            raise ConfigError(msg)
    policy = read_rights(node)
    # Not used here, but to be right before anybody is asked.
    DeskSettings.from_node(node, task.num_classes)
    own = LocalModelSettings.from_node(node)
    device_id = parse_device_id(node["device"])
    options = data_options(node)
    path = Path(str(node["store"]))
    labels = node.get("labels")
    clock = SystemClock()
    with (
        make_guard(node, machine) as guard,
        closing(StoreSettings.from_node(node).open(path, clock, "round")) as store,
        closing(Index(path.with_name(path.name + ".index"), store.index_key)) as index,
    ):
        try:
            store.classes.keep(task.classes)
        except ConfigError as err:  # here the app is the server's
            raise ProtocolError(str(err)) from err
        now = clock.now()
        look = ScanContext(index=index, now=now, payloads=store.payloads)
        held = Holdings(open_source(options, look), policy, store, now)
        held.apply()
        yield Device(
            device_id=device_id,
            pool=held.pool(ASK, guard.check),
            store=store,
            oracle=Nobody()
            if labels is None
            else FileOracle(Path(str(labels)), task.classes),
            proceed=guard.check,
            training_pool=held.training_pool(guard.check),
            clock=clock,
            keeps_model=own.on,
        )
