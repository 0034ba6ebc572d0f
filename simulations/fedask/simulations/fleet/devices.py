"""Simulated devices: a share of a data set, a store, a simulated person.

Called by the ClientApp on every runtime. The data set and its partition are made once
per process; which part is whose depends on the scenario alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from flwr.app import Context
from numpy.typing import NDArray

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device
from fedask.client.store.keys.key_file import KeyFile
from fedask.client.store.keys.keyring import FixedKeyring
from fedask.client.store.memory import MemoryStore
from fedask.client.store.memory.parts import MemoryParts
from fedask.client.store.part_folder import PARTS, PartFolder
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import DeviceId, Uid, content_uid, unit_hash
from fedask.common.sections import DataConfig, FleetConfig
from fedask.common.task import Task
from fedask.simulations.data.datasets import Dataset, load_dataset
from fedask.simulations.fleet.partition import partition
from fedask.simulations.fleet.people import make_person

# Runs whose devices stay open between messages; only the inline runtime keeps any.
_open_fleets: dict[int, dict[int, Device]] = {}
_parts_in_memory: dict[int, MemoryParts] = {}  # by run: one copy for all its devices


@dataclass(frozen=True, slots=True)
class Shares:
    """A data set divided over a fleet.

    Parameters
    ----------
    uids
        (n,) uid of each training sample.
    rows
        Per device, its rows of the training samples.
    """

    data: Dataset
    uids: NDArray[np.str_]
    rows: tuple[NDArray[np.int64], ...]


def shares_of(scenario: Scenario) -> Shares:
    """Divide the data set of a scenario over its devices."""
    return _shares(scenario.data, scenario.fleet, scenario.seed)


@lru_cache(maxsize=1)  # with data.limit, every seed has samples of its own
def _shares(data: DataConfig, fleet: FleetConfig, seed: int) -> Shares:
    dataset = load_dataset(data, seed)
    rows = partition(dataset.train_y, fleet, seed)
    return Shares(dataset, _uids(data, seed), rows)


@lru_cache(maxsize=1)
def _uids(data: DataConfig, seed: int) -> NDArray[np.str_]:
    samples = load_dataset(data, seed).train_x
    return np.array([content_uid(sample) for sample in samples], dtype=np.str_)


def device_name(index: int) -> DeviceId:
    """Return the pseudonym of a simulated device."""
    return DeviceId(f"device-{index:05d}")


def open_device(
    task: Task, scenario: Scenario, context: Context
) -> AbstractContextManager[Device]:
    """Open a simulated device for one message.

    Parameters
    ----------
    task
        What is learned; its classes must be those of the data.
    context
        ``node_config``: ``partition-id`` and ``num-partitions``, as Flower's
        simulation gives them.

    Raises
    ------
    ConfigError
        If the number of nodes is not ``fleet.devices``.
    """
    index = _index(scenario, context)
    fleet = _open_fleets.get(context.run_id)
    if fleet is not None:
        if index not in fleet:
            parts = _parts_in_memory[context.run_id]
            fleet[index] = _make_device(task, scenario, index, parts)
        return nullcontext(fleet[index])
    if scenario.fleet.store == "memory":
        raise ConfigError(
            "fleet.store = 'memory' forgets between messages on this runtime: use "
            "fleet.store = 'sqlite', or --runtime inline"
        )
    return _opened(_make_device(task, scenario, index))


@contextmanager
def _opened(device: Device) -> Iterator[Device]:
    """Close the device's store after the message."""
    try:
        yield device
    finally:
        device.store.close()


def _index(scenario: Scenario, context: Context) -> int:
    node = context.node_config
    nodes = int(node.get("num-partitions", scenario.fleet.devices))
    if nodes != scenario.fleet.devices:
        raise ConfigError(
            f"fleet.devices = {scenario.fleet.devices}, but {nodes} nodes are there"
        )
    return int(node["partition-id"])


def _make_device(
    task: Task, scenario: Scenario, index: int, parts: MemoryParts | None = None
) -> Device:
    """Make one device of the fleet.

    Parameters
    ----------
    parts
        Of a store in memory.

    Raises
    ------
    DataError
        If the data have labels that the task has no class for.
    """
    shares = shares_of(scenario)
    if len(shares.data.classes) != task.num_classes:
        raise DataError(
            f"the data have {len(shares.data.classes)} classes, the task has "
            + str(task.num_classes)
        )
    rows = shares.rows[index]
    pool = Pool(ArraySource(shares.data.train_x, rows, shares.uids))

    def truth(uids: Sequence[Uid]) -> Sequence[int]:
        labels: list[int] = shares.data.train_y[rows[pool.rows(uids)]].tolist()
        return labels

    def present(tick: int) -> bool:
        luck = unit_hash("present", scenario.seed, index, tick)
        return luck < scenario.fleet.participation

    return Device(
        device_id=device_name(index),
        pool=pool,
        store=_store(scenario, index, parts),
        oracle=make_person(scenario, truth),
        present=None if scenario.fleet.participation == 1.0 else present,
    )


def _store(
    scenario: Scenario, index: int, parts: MemoryParts | None = None
) -> DeviceStore:
    if scenario.fleet.store == "memory":
        return MemoryStore(parts=parts)
    if not scenario.run.out:
        raise ConfigError(
            "fleet.store = 'sqlite' needs run.out, the folder for the files"
        )
    folder = Path(scenario.run.out) / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    # One key for the fleet: a key of its own would cost each device a write more.
    keyring = FixedKeyring(KeyFile(folder / "fleet.key"))
    shared = _part_folder(folder / f"fleet{PARTS}")
    return SqliteStore(folder / f"{device_name(index)}.db", keyring, parts=shared)


@lru_cache(maxsize=4)
def _part_folder(path: Path) -> PartFolder:
    """Return the folder of a fleet's parts: one object, so that they are read once."""
    return PartFolder(path)


@contextmanager
def open_fleet(run_id: int) -> Iterator[dict[int, Device]]:
    """Keep the devices of one run open between messages; close them at the end."""
    fleet: dict[int, Device] = {}
    _open_fleets[run_id], _parts_in_memory[run_id] = fleet, MemoryParts()
    try:
        yield fleet
    finally:
        del _open_fleets[run_id], _parts_in_memory[run_id]
        for device in fleet.values():
            device.store.close()


def asked(scenario: Scenario) -> dict[DeviceId, list[tuple[int, Uid]]]:
    """Read back from the files which samples were asked, per device: (cycle, uid)."""
    chosen: dict[DeviceId, list[tuple[int, Uid]]] = {}
    for index in range(scenario.fleet.devices):
        store = _store(scenario, index)
        try:
            chosen[device_name(index)] = asked_in(store)
        finally:
            store.close()
    return chosen


def asked_in(store: DeviceStore) -> list[tuple[int, Uid]]:
    """List (cycle, uid) of everything a device was ever asked, sorted."""
    return sorted((item.cycle, item.uid) for item in store.queue.items())
