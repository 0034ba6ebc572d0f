from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from tests.support.client.world import (
    CLASSES,
    LABELS,
    SAMPLES,
    SCENARIO,
    TASK,
    UIDS,
    World,
    first_cut,
)

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState
from fedask.client.round.device import Device
from fedask.client.site.deployment import open_device
from fedask.client.store.audit.audit_check import verify
from fedask.client.store.audit.audit_log import entries
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
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


def stored(node: dict[str, Any]) -> list[tuple[ItemState, int | None]]:
    store = SqliteStore(Path(node["store"]))
    try:
        return [(item.state, item.label) for item in store.queue.items()]
    finally:
        store.close()


def test_a_real_device_asks_answers_and_trains(node: dict[str, Any]) -> None:
    (device,) = rounds(node)

    assert device.device_id == "ward-3"
    assert len(device.pool) == 60
    items = stored(node)
    assert [state for state, _ in items] == [ItemState.TRAINED] * 2
    assert all(label is not None for _, label in items)


@pytest.mark.parametrize(("settings", "kept"), [({}, 1), ({"own-answers": 0}, 0)])
def test_it_keeps_the_global_model_for_an_own_one_if_the_owner_wants(
    node: dict[str, Any], settings: dict[str, Any], kept: int
) -> None:
    node |= settings
    rounds(node)
    world = World()
    with open_device(TASK, SCENARIO, context(node)) as world.device:
        world.round(1, 2, score=world.version)
        assert len(world.device.store.models.all(GLOBAL)) == kept


def test_the_store_is_closed_after_the_message(node: dict[str, Any]) -> None:
    (device,) = rounds(node)

    with pytest.raises(StoreError, match="closed"):
        device.store.queue.items()


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
        opened[0].store.queue.items()


def test_without_labels_people_answer_in_another_process(node: dict[str, Any]) -> None:
    del node["labels"]
    rounds(node)
    assert [state for state, _ in stored(node)] == [ItemState.QUEUED] * 2
    with open_store_of(node) as store:
        store.queue.answer({store.queue.items()[0].uid: 1})

    rounds(node)

    assert sorted(stored(node), key=str) == [
        (ItemState.QUEUED, None),
        (ItemState.TRAINED, 1),
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
    assert [state for state, _ in stored(node)] == [ItemState.QUEUED] * 2
    path.write_text(text)

    rounds(node)

    assert [state for state, _ in stored(node)] == [ItemState.TRAINED] * 2


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


def test_a_site_s_folder_says_all_that_a_node_needs(
    node: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "device.toml").write_text(
        'device = "ward-3"\napp = "app"\nrights = "open"\n[data]\ndata = "pool.npy"\n'
        '[desk]\nrule = "two"\n'
    )
    (device,) = rounds({"site": str(tmp_path), "labels": node["labels"]})

    assert device.device_id == "ward-3"
    assert len(device.pool) == 60
    assert [state for state, _ in stored(node)] == [ItemState.TRAINED] * 2


def test_a_site_leaves_no_room_for_a_second_opinion(tmp_path: Path) -> None:
    node = {"site": str(tmp_path), "device": "ward-3"}
    with (
        pytest.raises(ConfigError, match=r"--node-config device: .*device\.toml"),
        open_device(TASK, SCENARIO, context(node)),
    ):
        pass


POLICY = """
[[rule]]
when = {consent = "yes"}
may = ["score", "show", "train"]
"""


def put_policy(node: dict[str, Any], consents: dict[int, str]) -> None:
    """Write a policy, and what is said of some samples by row."""
    folder = Path(node["store"]).parent
    (folder / "rights.toml").write_text(POLICY)
    node["rights"] = str(folder / "rights.toml")
    rows = [f"{UIDS[row]},{consent}" for row, consent in consents.items()]
    text = "\n".join(["uid,consent", *rows])
    (folder / "provenance.csv").write_text(text)


def test_a_device_asks_only_what_its_site_permits(node: dict[str, Any]) -> None:
    put_policy(node, {3: "yes", 5: "yes", 7: "no", 9: ""})

    (device,) = rounds(node)

    assert sorted(device.pool.uids.tolist()) == sorted([UIDS[3], UIDS[5]])
    with open_store_of(node) as store:
        assert {item.uid for item in store.queue.items()} == {UIDS[3], UIDS[5]}


def test_a_withdrawn_consent_takes_a_sample_out_of_everything(
    node: dict[str, Any],
) -> None:
    put_policy(node, {3: "yes", 5: "yes"})
    rounds(node)
    put_policy(node, {3: "withdrawn", 5: "yes"})
    with open_device(TASK, SCENARIO, context(node)) as device:
        world = World()
        world.device = device
        outcome = world.round(1, 1)

    assert outcome.weight == 1  # of two labels
    assert sum(outcome.report.class_counts) == 1
    assert outcome.report.answered == 2  # both were paid for


def test_a_device_of_which_nothing_may_be_used_does_nothing(
    node: dict[str, Any],
) -> None:
    put_policy(node, {})

    with open_device(TASK, SCENARIO, context(node)) as device:
        world = World()
        world.device = device
        first = world.round(1, 0, cut=first_cut(), score=world.version)
        second = world.round(1, 1)

    assert (first.weight, second.weight, first.report.asked) == (0, 0, 0)
    assert first.report.grid is not None
    assert not first.report.grid.any()


@pytest.mark.parametrize("rights", ["", "Open", "/no/such/rights.toml", "."])
def test_rights_that_are_none_are_refused(node: dict[str, Any], rights: str) -> None:
    node["rights"] = rights

    with pytest.raises(ConfigError, match="cannot read the policy of rights"):
        rounds(node)
    assert not Path(node["store"]).exists()


def test_every_message_leaves_its_entries_in_the_log(
    node: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    put_policy(node, {3: "yes", 5: "yes", 7: "no"})
    caplog.set_level("DEBUG", logger="fedask")

    rounds(node, 2)

    path = Path(node["store"])
    found = verify(path, keys=StoreSettings.from_node(node).audit_keys(path))
    assert found.ok
    with open_store_of(node) as store:
        said = [entry.event for entry in entries(store.connection.db)]
    assert said[:3] == ["opened", "rights changed", "queued"]
    assert {"labelled", "trained"} <= set(said)
    assert "60 samples, 2 may be asked, 2 trained on, 0 past" in caplog.text
    for secret in (UIDS[3], UIDS[5], UIDS[7], *CLASSES):
        assert secret not in caplog.text


def test_a_retention_forgets_with_the_sample_when_it_came(
    node: dict[str, Any],
) -> None:
    policy = Path(node["store"]).with_name("rights.toml")
    policy.write_text(
        '[[rule]]\nwhen = {}\nmay = ["score", "show", "train"]\n[retention]\ndays = 9\n'
    )
    node["rights"] = str(policy)
    rounds(node)
    with open_store_of(node) as store:
        store.erasure.forget([UIDS[3]])
        raw = store.connection.db.execute("SELECT uids FROM first_seen").fetchall()
        last = list(entries(store.connection.db))[-1]
    assert bytes.fromhex(UIDS[3]) not in b"".join(blob for (blob,) in raw)
    assert bytes.fromhex(UIDS[4]) in b"".join(blob for (blob,) in raw)
    assert last.event == "forgotten"
    assert UIDS[3] not in last.body

    (device,) = rounds(node)  # its row is still in the file

    assert not device.pool.has([UIDS[3]]).any()
    with open_store_of(node) as store:
        raw = store.connection.db.execute("SELECT uids FROM first_seen").fetchall()
    assert bytes.fromhex(UIDS[3]) not in b"".join(blob for (blob,) in raw)


def test_a_change_of_the_device_s_key_is_an_entry_and_the_log_goes_on(
    node: dict[str, Any],
) -> None:
    rounds(node)
    with open_store_of(node) as store:
        store.rotate()
        said = [entry.event for entry in entries(store.connection.db)]
    assert said.count("key rotated") == 1
    path = Path(node["store"])
    assert verify(path, keys=StoreSettings.from_node(node).audit_keys(path)).ok
    rounds(node)
    assert verify(path, keys=StoreSettings.from_node(node).audit_keys(path)).ok


def test_a_process_without_the_log_s_key_can_only_read(node: dict[str, Any]) -> None:
    rounds(node)
    with closing(SqliteStore(Path(node["store"]))) as store:
        assert len(store.queue.items()) == 2
        with pytest.raises(StoreError, match="without its key"):
            store.queue.add(9, [UIDS[0]])


def test_a_key_that_others_may_read_is_refused(
    node: dict[str, Any], tmp_path: Path
) -> None:
    node["store-audit-key"] = str(tmp_path / "key")
    with pytest.raises(ConfigError, match="cannot read the audit key"):
        rounds(node)
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        rounds(node)
    (tmp_path / "key").chmod(0o400)
    rounds(node)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key").write_bytes(b"k" * 31)
    with pytest.raises(ConfigError, match="has 31 bytes"):
        rounds(node)


def open_store_of(node: dict[str, Any]) -> "closing[SqliteStore]":
    settings, path = StoreSettings.from_node(node), Path(node["store"])
    return closing(settings.open(path, SystemClock(), "test"))
