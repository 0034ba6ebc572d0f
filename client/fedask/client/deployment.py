"""A real device behind a SuperNode: opened from the owner's own node configuration.

``flower-supernode --node-config 'data="/srv/pool.npy" store="/srv/device.db"
labels="/srv/labels.csv" device="ward-3"'``. The server has no say in any of these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context

from fedask.client.desk_settings import DeskSettings
from fedask.client.device import Device
from fedask.client.oracles.file import FileOracle
from fedask.client.oracles.oracle import Nobody
from fedask.client.pool import Pool
from fedask.client.sources.arrays import open_npy
from fedask.client.store import SqliteStore
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.ids import parse_device_id
from fedask.common.task import Task


@contextmanager
def open_device(task: Task, scenario: Scenario, context: Context) -> Iterator[Device]:  # noqa: ARG001
    """Open the device for one message and close it again.

    Parameters
    ----------
    task
        For the class names in the labels file.
    context
        ``node_config``: ``data`` (.npy of samples), ``store`` (SQLite file, made if
        missing), ``device`` (its pseudonym), and optionally ``labels`` (CSV of
        answers) and the ``desk-`` settings of ``DeskSettings.from_node``.

    Raises
    ------
    ConfigError
        If a key is missing, or a setting of the desk is wrong.
    DataError, StoreError
        If a file cannot be used.
    """
    node = context.node_config
    for key in ("data", "store", "device"):
        if key not in node:
            msg = f"the SuperNode's --node-config has no {key}"
            raise ConfigError(msg)
    # Not used here, but to be right before anybody is asked.
    DeskSettings.from_node(node, task.num_classes)
    store = SqliteStore(Path(str(node["store"])))
    try:
        labels = node.get("labels")
        yield Device(
            device_id=parse_device_id(node["device"]),
            pool=Pool(open_npy(Path(str(node["data"])))),
            store=store,
            oracle=Nobody()
            if labels is None
            else FileOracle(Path(str(labels)), task.classes),
        )
    finally:
        store.close()
