from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from tests.unit.client.world import (
    CLASSES,
    LABELS,
    SAMPLES,
    SCENARIO,
    TASK,
    UIDS,
    World,
    first_cut,
)

from fedask.client.deployment import open_device, open_store
from fedask.client.desk_settings import DeskSettings
from fedask.client.device import Device
from fedask.client.queue import State
from fedask.client.store import SqliteStore
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, DataError, ProtocolError, StoreError


@pytest.fixture
def node(tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "pool.npy", SAMPLES)
    rows = "".join(f"{uid},{CLASSES[label]}\n" for uid, label in LABELS.items())
    (tmp_path / "labels.csv").write_text("uid,label\n" + rows)
    return {
        "data": str(tmp_path / "pool.npy"),
        "store": str(tmp_path / "device.db"),
        "device": "ward-3",
        "rights": "open",
        "labels": str(tmp_path / "labels.csv"),
    }


def context(node: dict[str, Any]) -> Context:
    return Context(1, 2, node, RecordDict(), {})


def rounds(node: dict[str, Any], count: int = 1) -> list[Device]:
    """Open the device for each of some messages, the first of which has a cut."""
    world, opened = World(), []
    for step in range(count):
        with open_device(TASK, SCENARIO, context(node)) as device:
            world.device = device
            world.round(1, step, cut=first_cut())
            opened.append(device)
    return opened


def stored(node: dict[str, Any]) -> list[tuple[State, int | None]]:
    store = SqliteStore(Path(node["store"]))
    try:
        return [(item.state, item.label) for item in store.items()]
    finally:
        store.close()


def test_a_real_device_asks_answers_and_trains(node: dict[str, Any]) -> None:
    (device,) = rounds(node)

    assert device.device_id == "ward-3"
    assert len(device.pool) == 60
    items = stored(node)
    assert [state for state, _ in items] == [State.TRAINED] * 2
    assert all(label is not None for _, label in items)


def test_the_store_is_closed_after_the_message(node: dict[str, Any]) -> None:
    (device,) = rounds(node)

    with pytest.raises(StoreError, match="closed"):
        device.store.items()


def test_the_store_is_closed_when_the_message_fails(node: dict[str, Any]) -> None:
    Path(node["labels"]).write_text("uid,label\n" + f"{UIDS[0]},purple\n" * 2)
    opened: list[Device] = []

    def fail() -> None:
        with open_device(TASK, SCENARIO, context(node)) as device:
            opened.append(device)
            msg = "anything"
            raise DataError(msg)

    with pytest.raises(DataError, match="anything"):
        fail()
    with pytest.raises(StoreError, match="closed"):
        opened[0].store.items()


def test_without_labels_people_answer_in_another_process(node: dict[str, Any]) -> None:
    del node["labels"]
    rounds(node)
    assert [state for state, _ in stored(node)] == [State.QUEUED] * 2
    store = open_store(node, SystemClock(), "test")
    store.answer({store.items()[0].uid: 1})
    store.close()

    rounds(node)

    assert sorted(stored(node), key=str) == [
        (State.QUEUED, None),
        (State.TRAINED, 1),
    ]


@pytest.mark.parametrize("key", ["data", "store", "device", "rights"])
def test_a_missing_key_is_named(node: dict[str, Any], key: str) -> None:
    del node[key]

    with pytest.raises(ConfigError, match=f"--node-config .* no {key}"):
        rounds(node)


def test_a_missing_file_of_samples_is_named(node: dict[str, Any]) -> None:
    node["data"] += ".gone"

    with pytest.raises(DataError, match=f"cannot read samples from {node['data']}"):
        rounds(node)


def test_a_store_in_a_missing_folder_is_named(node: dict[str, Any]) -> None:
    node["store"] = node["store"] + "/sub/device.db"

    with pytest.raises(StoreError, match=f"cannot open the store {node['store']}"):
        rounds(node)


@pytest.mark.parametrize("name", ["", "a b", "x" * 64, "../x", 7])
def test_a_pseudonym_that_is_none_is_refused(
    node: dict[str, Any], name: str | int
) -> None:
    node["device"] = name

    with pytest.raises(ProtocolError, match="device id"):
        rounds(node)


def test_a_file_of_labels_may_come_later(node: dict[str, Any]) -> None:
    path = Path(node["labels"])
    text = path.read_text()
    path.unlink()
    rounds(node)
    assert [state for state, _ in stored(node)] == [State.QUEUED] * 2
    path.write_text(text)

    rounds(node)

    assert [state for state, _ in stored(node)] == [State.TRAINED] * 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("desk-rule", "three", "majority:N"),
        ("desk-rules", "two", "did you mean 'desk-rule'"),
        ("desk-lease-s", "long", "must be float"),
        ("desk-controls", 1.5, "controls"),
        ("desk-unsure", True, "must be int"),
    ],
)
def test_a_wrong_setting_of_the_desk_is_named(
    node: dict[str, Any], key: str, value: str | float, message: str
) -> None:
    node[key] = value

    with pytest.raises(ConfigError, match=message):
        rounds(node)


def test_the_settings_of_the_desk_are_the_owners() -> None:
    node = {"desk-rule": "two", "desk-lease-s": 60, "device": "ward-3"}

    settings = DeskSettings.from_node(node, 3)

    assert settings == DeskSettings(classes=3, rule="two", lease_s=60.0)
