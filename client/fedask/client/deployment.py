"""A real device behind a SuperNode: opened from the owner's own node configuration.

``flower-supernode --node-config 'data="/srv/wavs" frames=8000 store="/srv/device.db"
labels="/srv/labels.csv" device="ward-3" rights="/srv/rights.toml"'``. The server has no
say in any of these.

``rights`` has no default. A device whose owner has said nothing of what may be done
with the samples does nothing with them; an owner without such a question says so, with
``rights="open"``. Simulations do not come here: made-up devices ask nobody.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from flwr.app import Context

from fedask.client.audit_key import file_key
from fedask.client.audit_log import SqliteAudit
from fedask.client.desk_settings import DeskSettings
from fedask.client.device import Device
from fedask.client.oracles.file import FileOracle
from fedask.client.oracles.oracle import Nobody
from fedask.client.permitted import Anything, Rights
from fedask.client.pool import DataSource, Pool
from fedask.client.rights import ASK, Right, RightsPolicy
from fedask.client.sources.index import Index
from fedask.client.sources.indexed import Look
from fedask.client.sources.source import open_source
from fedask.client.store import SqliteStore
from fedask.common.clock import Clock, SystemClock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, StoreError
from fedask.common.ids import parse_device_id
from fedask.common.task import Task

OPEN = "open"  # instead of a policy: everything may be done with every sample
# Keys of the node that are not of its data.
_OTHERS = ("store", "device", "labels", "rights", "audit-key")

_log = logging.getLogger(__name__)


def _is_other(key: str) -> bool:
    return key in _OTHERS or key.startswith("desk-")


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
        pseudonym), ``rights`` (a policy file, or ``open``), and optionally ``labels``
        (CSV of answers), ``kind`` and options of the data (see ``open_source``),
        ``audit-key`` (see ``open_store``), and the ``desk-`` settings of
        ``DeskSettings.from_node``.

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
    policy = _policy(node)
    # Not used here, but to be right before anybody is asked.
    DeskSettings.from_node(node, task.num_classes)
    device_id = parse_device_id(node["device"])
    options = {key: value for key, value in node.items() if not _is_other(key)}
    path = Path(str(node["store"]))
    labels = node.get("labels")
    clock = SystemClock()
    with (
        closing(open_store(node, clock, "round")) as store,
        closing(Index(path.with_name(path.name + ".index"))) as index,
    ):
        now = clock.now()
        source = open_source(options, Look(index=index, now=now))
        pool, lessons = _pools(source, policy, store, now)
        yield Device(
            device_id=device_id,
            pool=pool,
            store=store,
            oracle=Nobody()
            if labels is None
            else FileOracle(Path(str(labels)), task.classes),
            lessons=lessons,
        )


def open_store(node: Mapping[str, object], clock: Clock, process: str) -> SqliteStore:
    """Open the store of a node, with its audit log. For every process of the device.

    Parameters
    ----------
    node
        ``store``; ``audit-key`` names a file of at least 32 random bytes. By default
        it is ``<store>.audit-key``, made if missing: better than none, but whoever can
        change the store can read it there. Keep it where they cannot.
    process
        Who opens it: a short word for the log.

    Raises
    ------
    ConfigError
        If the key file is missing or wrong.
    StoreError
        As ``SqliteStore``.
    """
    path = Path(str(node["store"]))
    named = node.get("audit-key")
    if not path.parent.is_dir():  # before a key is made for it
        msg = f"cannot open the store {path}: there is no such folder"
        raise StoreError(msg)
    beside = path.with_name(path.name + ".audit-key")
    key = file_key(beside if named is None else Path(str(named)), make=named is None)
    return SqliteStore(path, SqliteAudit(path, key, clock, process=process))


def _policy(node: Mapping[str, object]) -> RightsPolicy | None:
    """Read the policy; None for ``open``."""
    if "rights" not in node:
        msg = "the SuperNode's --node-config has no rights: name a policy file, "
        msg += 'rights="/srv/rights.toml", or say rights="open" if every sample may be '
        msg += "scored, shown to people and trained on without end"
        raise ConfigError(msg)
    rights = str(node["rights"])
    return None if rights == OPEN else RightsPolicy.load(Path(rights))


def _pools(
    source: DataSource, policy: RightsPolicy | None, store: SqliteStore, now: datetime
) -> tuple[Pool, Pool | None]:
    """Return what may be asked, and what may be trained on (None: the same)."""
    if policy is None:
        store.use_rights(Anything(), now)
        return Pool(source), None
    rights = Rights(source, policy, store, now)
    store.use_rights(rights, now)
    told = rights.summary()
    _log.info(
        "rights: %d samples, %d may be asked, %d trained on, %d past their time",
        told.samples,
        told.asked,
        told.trained,
        told.past,
    )
    return Pool(rights.may(ASK)), Pool(rights.may(Right.TRAIN))
