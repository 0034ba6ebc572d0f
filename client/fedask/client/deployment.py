"""A real device behind a SuperNode: opened from the owner's own node configuration.

``flower-supernode --node-config 'data="/srv/wavs" frames=8000 store="/srv/device.db"
labels="/srv/labels.csv" device="ward-3"'``. The server has no say in any of these.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from flwr.app import Context

from fedask.client.desk_settings import DeskSettings
from fedask.client.device import Device
from fedask.client.oracles.file import FileOracle
from fedask.client.oracles.oracle import Nobody
from fedask.client.pool import Pool
from fedask.client.sources.index import Index
from fedask.client.sources.indexed import Look
from fedask.client.sources.source import open_source
from fedask.client.store import SqliteStore
from fedask.common.clock import SystemClock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.ids import parse_device_id
from fedask.common.task import Task

_OTHERS = ("store", "device", "labels")  # keys of the node that are not of its data


def _is_other(key: str) -> bool:
    return key in _OTHERS or key.startswith(("desk-", "page-"))


def data_options(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the data in a node configuration: see ``open_source``."""
    return {key: value for key, value in node.items() if not _is_other(key)}


@contextmanager
def open_device(task: Task, scenario: Scenario, context: Context) -> Iterator[Device]:  # noqa: ARG001
    """Open the device for one message and close it again.

    Parameters
    ----------
    task
        For the class names in the labels file.
    context
        ``node_config``: ``data`` (a file or folder of samples), ``store`` (SQLite file,
        made if missing; an index of the data stands beside it), ``device`` (its
        pseudonym), and optionally ``labels`` (CSV of answers), ``kind`` and options of
        the data (see ``open_source``), and the ``desk-`` settings of
        ``DeskSettings.from_node``. Those that begin with ``page-`` are for the
        labelling page, a process of its own.

    Raises
    ------
    ConfigError
        If a key is missing, is none that there is, or a setting of the desk is wrong.
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
    device_id = parse_device_id(node["device"])
    options = data_options(node)
    path = Path(str(node["store"]))
    labels = node.get("labels")
    with (
        closing(SqliteStore(path)) as store,
        closing(Index(path.with_name(path.name + ".index"))) as index,
    ):
        look = Look(index=index, now=SystemClock().now())
        yield Device(
            device_id=device_id,
            pool=Pool(open_source(options, look)),
            store=store,
            oracle=Nobody()
            if labels is None
            else FileOracle(Path(str(labels)), task.classes),
        )
