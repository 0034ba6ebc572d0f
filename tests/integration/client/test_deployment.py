from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.folders import open_folder
from tests.support.client.world import (
    CLASSES,
    LABELS,
    SAMPLES,
    TASK,
    UIDS,
    World,
    first_cut,
)

from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState
from fedask.client.round.device import Device
from fedask.client.site.deployment import open_device
from fedask.client.site.device_folder import folder_of
from fedask.client.store.audit.audit_check import verify
from fedask.client.store.audit.audit_log import entries
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, DataError, StoreError


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "pool.npy", SAMPLES)
    rows = "".join(f"{uid},{CLASSES[label]}\n" for uid, label in LABELS.items())
    (tmp_path / "labels.csv").write_text("uid,label\n" + rows)
    return {"data": {"data": "pool.npy"}, "labels": "labels.csv"}


@contextmanager
def opened(folder: Path, settings: dict[str, Any]) -> Iterator[Device]:
    """Open the device for one message."""
    with (
        open_folder(folder, settings) as written,
        open_device(written, TASK) as device,
    ):
        yield device


def rounds(folder: Path, settings: dict[str, Any], count: int = 1) -> list[Device]:
    """Open the device for each of some messages, the first of which has a cut."""
    world, devices = World(), []
    for step in range(count):
        with opened(folder, settings) as device:
            world.device = device
            world.round(1, step, cut=first_cut())
            devices.append(device)
    return devices


def stored(folder: Path) -> list[tuple[ItemState, int | None]]:
    store = SqliteStore(folder / "device.db")
    try:
        return [(item.state, item.label) for item in store.queue.items()]
    finally:
        store.close()


def test_a_real_device_asks_answers_and_trains(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (device,) = rounds(tmp_path, settings)

    assert device.device_id == "ward-3"
    assert len(device.pool) == 60
    items = stored(tmp_path)
    assert [state for state, _ in items] == [ItemState.TRAINED] * 2
    assert all(label is not None for _, label in items)


@pytest.mark.parametrize(("answers", "kept"), [(10, 1), (0, 0)])
def test_it_keeps_the_global_model_for_a_local_one_if_the_owner_wants(
    settings: dict[str, Any], answers: int, kept: int, tmp_path: Path
) -> None:
    settings["local_model"] = {"answers": answers}
    rounds(tmp_path, settings)
    world = World()
    with opened(tmp_path, settings) as world.device:
        world.round(1, 2, score=world.version)
        assert len(world.device.store.models.all(GLOBAL)) == kept


def test_the_store_is_closed_after_the_message(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (device,) = rounds(tmp_path, settings)

    with pytest.raises(StoreError, match="closed"):
        device.store.queue.items()


def test_the_store_is_closed_when_the_message_fails(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("uid,label\n" + f"{UIDS[0]},purple\n" * 2)
    devices: list[Device] = []

    def fail() -> None:
        with opened(tmp_path, settings) as device:
            devices.append(device)
            msg = "anything"
            raise DataError(msg)

    with pytest.raises(DataError, match="anything"):
        fail()
    with pytest.raises(StoreError, match="closed"):
        devices[0].store.queue.items()


def test_without_labels_people_answer_in_another_process(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    del settings["labels"]
    rounds(tmp_path, settings)
    assert [state for state, _ in stored(tmp_path)] == [ItemState.QUEUED] * 2
    with open_store_of(tmp_path) as store:
        store.queue.answer({store.queue.items()[0].uid: 1})

    rounds(tmp_path, settings)

    assert sorted(stored(tmp_path), key=str) == [
        (ItemState.QUEUED, None),
        (ItemState.TRAINED, 1),
    ]


def test_a_missing_file_of_samples_is_named(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["data"] = {"data": "pool.gone"}

    with pytest.raises(DataError, match=r"cannot read samples from .*pool\.gone"):
        rounds(tmp_path, settings)


def test_a_store_in_a_missing_folder_is_named(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["store"] = "sub/device.db"

    with pytest.raises(StoreError, match=r"cannot open the store .*/sub/device\.db"):
        rounds(tmp_path, settings)


@pytest.mark.parametrize("name", ["", "a b", "x" * 64, "../x"])
def test_a_pseudonym_that_is_none_is_refused(
    settings: dict[str, Any], name: str, tmp_path: Path
) -> None:
    settings["device"] = name

    with pytest.raises(ConfigError, match=r"device\.toml: device: .*device id"):
        rounds(tmp_path, settings)


def test_a_file_of_labels_may_come_later(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    text = path.read_text()
    path.unlink()
    rounds(tmp_path, settings)
    assert [state for state, _ in stored(tmp_path)] == [ItemState.QUEUED] * 2
    path.write_text(text)

    rounds(tmp_path, settings)

    assert [state for state, _ in stored(tmp_path)] == [ItemState.TRAINED] * 2


def test_a_node_names_its_folder_and_nothing_else(tmp_path: Path) -> None:
    assert folder_of({"site": str(tmp_path)}) == tmp_path
    with pytest.raises(ConfigError, match=r"--node-config device: .*device\.toml"):
        folder_of({"site": str(tmp_path), "device": "ward-3"})
    with pytest.raises(ConfigError, match=r"--node-config data: .*device\.toml"):
        folder_of({"data": "/srv/wavs", "rights": "open"})
    for wrong in ("", 7):
        with pytest.raises(ConfigError, match="must be 'site="):
            folder_of({"site": wrong})


POLICY = """
[[rule]]
when = {consent = "yes"}
may = ["score", "show", "train"]
"""


def put_policy(
    folder: Path, settings: dict[str, Any], consents: dict[int, str]
) -> None:
    """Write a policy, and what is said of some samples by row."""
    (folder / "rights.toml").write_text(POLICY)
    settings["rights"] = "rights.toml"
    rows = [f"{UIDS[row]},{consent}" for row, consent in consents.items()]
    text = "\n".join(["uid,consent", *rows])
    (folder / "provenance.csv").write_text(text)


def test_a_device_asks_only_what_its_site_permits(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    put_policy(tmp_path, settings, {3: "yes", 5: "yes", 7: "no", 9: ""})

    (device,) = rounds(tmp_path, settings)

    assert sorted(device.pool.uids.tolist()) == sorted([UIDS[3], UIDS[5]])
    with open_store_of(tmp_path) as store:
        assert {item.uid for item in store.queue.items()} == {UIDS[3], UIDS[5]}


def test_a_withdrawn_consent_takes_a_sample_out_of_everything(
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    put_policy(tmp_path, settings, {3: "yes", 5: "yes"})
    rounds(tmp_path, settings)
    put_policy(tmp_path, settings, {3: "withdrawn", 5: "yes"})
    with opened(tmp_path, settings) as device:
        world = World()
        world.device = device
        outcome = world.round(1, 1)

    assert outcome.weight == 1  # of two labels
    assert sum(outcome.report.class_counts) == 1
    assert outcome.report.answered == 2  # both were paid for


def test_a_device_of_which_nothing_may_be_used_does_nothing(
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    put_policy(tmp_path, settings, {})

    with opened(tmp_path, settings) as device:
        world = World()
        world.device = device
        first = world.round(1, 0, cut=first_cut(), score=world.version)
        second = world.round(1, 1)

    assert (first.weight, second.weight, first.report.asked) == (0, 0, 0)
    assert first.report.grid is not None
    assert not first.report.grid.any()


@pytest.mark.parametrize("rights", ["", "Open", "/no/such/rights.toml", "."])
def test_rights_that_are_none_are_refused(
    settings: dict[str, Any], rights: str, tmp_path: Path
) -> None:
    settings["rights"] = rights

    with pytest.raises(ConfigError, match="cannot read the policy of rights"):
        rounds(tmp_path, settings)
    assert not (tmp_path / "device.db").exists()


def test_every_message_leaves_its_entries_in_the_log(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    put_policy(tmp_path, settings, {3: "yes", 5: "yes", 7: "no"})
    caplog.set_level("DEBUG", logger="fedask")

    rounds(tmp_path, settings, 2)

    path = tmp_path / "device.db"
    found = verify(path, key=StoreSettings().audit_key_of(path))
    assert found.ok
    with open_store_of(tmp_path) as store:
        said = [entry.event for entry in entries(store.connection.db)]
    assert said[:3] == ["opened", "rights changed", "queued"]
    assert {"labelled", "trained"} <= set(said)
    assert "60 samples, 2 may be asked, 2 trained on, 0 past" in caplog.text
    for secret in (UIDS[3], UIDS[5], UIDS[7], *CLASSES):
        assert secret not in caplog.text


def test_a_retention_forgets_with_the_sample_when_it_came(
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    policy = tmp_path / "rights.toml"
    policy.write_text(
        '[[rule]]\nwhen = {}\nmay = ["score", "show", "train"]\n[retention]\ndays = 9\n'
    )
    settings["rights"] = "rights.toml"
    rounds(tmp_path, settings)
    with open_store_of(tmp_path) as store:
        store.erasure.forget([UIDS[3]])
        raw = store.connection.db.execute("SELECT uids FROM first_seen").fetchall()
        last = list(entries(store.connection.db))[-1]
    assert bytes.fromhex(UIDS[3]) not in b"".join(blob for (blob,) in raw)
    assert bytes.fromhex(UIDS[4]) in b"".join(blob for (blob,) in raw)
    assert last.event == "forgotten"
    assert UIDS[3] not in last.body

    (device,) = rounds(tmp_path, settings)  # its row is still in the file

    assert not device.pool.has([UIDS[3]]).any()
    with open_store_of(tmp_path) as store:
        raw = store.connection.db.execute("SELECT uids FROM first_seen").fetchall()
    assert bytes.fromhex(UIDS[3]) not in b"".join(blob for (blob,) in raw)


def test_a_change_of_the_device_s_key_is_an_entry_and_the_log_goes_on(
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    rounds(tmp_path, settings)
    with open_store_of(tmp_path) as store:
        store.rotate()
        said = [entry.event for entry in entries(store.connection.db)]
    assert said.count("key rotated") == 1
    path = tmp_path / "device.db"
    assert verify(path, key=StoreSettings().audit_key_of(path)).ok
    rounds(tmp_path, settings)
    assert verify(path, key=StoreSettings().audit_key_of(path)).ok


def test_a_process_without_the_log_s_key_can_only_read(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    rounds(tmp_path, settings)
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        assert len(store.queue.items()) == 2
        with pytest.raises(StoreError, match="without its key"):
            store.queue.add(9, [UIDS[0]])


def test_a_key_that_others_may_read_is_refused(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["seal"] = {"audit_key": "key"}
    with pytest.raises(ConfigError, match="cannot read the audit key"):
        rounds(tmp_path, settings)
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        rounds(tmp_path, settings)
    (tmp_path / "key").chmod(0o400)
    rounds(tmp_path, settings)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key").write_bytes(b"k" * 31)
    with pytest.raises(ConfigError, match="has 31 bytes"):
        rounds(tmp_path, settings)


def open_store_of(folder: Path) -> "closing[SqliteStore]":
    path = folder / "device.db"
    return closing(StoreSettings().open(path, SystemClock(), "test"))
