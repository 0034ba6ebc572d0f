"""The labelling page of a device that is configured as its SuperNode is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.support.client.site import free_port, running

from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.records.exhibit import Medium
from fedask.client.site.device_exhibit import DeviceExhibit
from fedask.client.site.device_page import page_of_device
from fedask.client.store.memory import FakeClock
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.ids import Uid, content_uid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def put_image(folder: Path, name: str, grey: int) -> Uid:
    data = b"P5 2 2 255\n" + bytes([grey] * 4)
    (folder / name).write_bytes(data)
    return content_uid(np.frombuffer(data, np.uint8))


@pytest.fixture
def node(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "scans").mkdir()
    return {
        "data": str(tmp_path / "scans"),
        "store": str(tmp_path / "device.db"),
        "device": "ward-3",
        "rights": "open",
        "desk-rule": "two",
        "page-port": free_port(),
        "page-title": "Ward 3",
    }


def test_a_page_over_the_files_of_a_device_shows_and_keeps(
    node: dict[str, object], tmp_path: Path
) -> None:
    uid = put_image(tmp_path / "scans", "a.pgm", 7)
    store = SqliteStore(tmp_path / "device.db")
    store.queue.add(1, [uid])
    store.close()
    settings = PageSettings.from_node(node, ["cat", "dog"])
    tokens: list[str] = []
    app = page_of_device(node, settings, FakeClock(NOON), tokens.append)
    address = f"http://127.0.0.1:{settings.port}"
    with running(app, settings), httpx.Client(base_url=address) as http:
        http.get(f"/?token={tokens[-1]}")
        assert "Ward 3" in http.get("/").text
        headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
        http.post("/api/lease", json={"limit": 2}, headers=headers)
        image = http.get(f"/api/sample/{uid}/0")
        assert image.headers["content-type"] == "image/png"
        assert image.content.startswith(b"\x89PNG")
    assert (tmp_path / "device.db.sessions").exists()


def test_a_sample_that_arrives_later_is_found_after_a_while(
    node: dict[str, object], tmp_path: Path
) -> None:
    clock = FakeClock(NOON)
    first = put_image(tmp_path / "scans", "a.pgm", 7)
    with DeviceExhibit(node, clock) as exhibit:
        assert exhibit.parts(first)[0].medium is Medium.IMAGE
        second = put_image(tmp_path / "scans", "b.pgm", 9)
        with pytest.raises(DataError):
            exhibit.parts(second)
        clock.time += timedelta(seconds=10)
        assert exhibit.parts(second)[0].medium is Medium.IMAGE
        (tmp_path / "scans" / "a.pgm").unlink()
        with pytest.raises(DataError):
            exhibit.parts(first)


def test_a_sample_without_the_right_is_not_shown(
    node: dict[str, object], tmp_path: Path
) -> None:
    uids = [put_image(tmp_path / "scans", f"{n}.pgm", n) for n in (7, 9)]
    rows = f"uid,consent\n{uids[0]},yes\n{uids[1]},no\n"
    (tmp_path / "scans" / "provenance.csv").write_text(rows)
    (tmp_path / "rights.toml").write_text(
        '[[rule]]\nwhen = {consent = "yes"}\nmay = ["show"]\n'
    )
    node["rights"] = str(tmp_path / "rights.toml")
    with DeviceExhibit(node, FakeClock(NOON)) as exhibit:
        assert exhibit.parts(uids[0])[0].medium is Medium.IMAGE
        with pytest.raises(DataError):
            exhibit.parts(uids[1])


def test_settings_are_read_from_the_configuration_of_the_node(tmp_path: Path) -> None:
    node: dict[str, object] = {
        "store": str(tmp_path / "device.db"),
        "device": "ward-3",
        "rights": "open",
        "page-host": "192.168.1.5",
        "page-names": "ward3.example, ward3",
        "page-certificate": "/etc/c.pem",
        "page-private-key": "/etc/k.pem",
        "page-logins": "/etc/logins.json",
        "page-idle-s": 600,
        "page-ahead": 2,
    }
    settings = PageSettings.from_node(node, ["a", "b"])
    assert settings.names == ("ward3.example", "ward3")
    assert settings.private_key == Path("/etc/k.pem")
    assert settings.sessions == tmp_path / "device.db.sessions"
    assert (settings.idle_s, settings.ahead, settings.tls) == (600, 2, True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("page-prot", 80, "did you mean 'page-port'|no such setting"),
        ("page-classes", "a", "no such setting"),
        ("page-port", "80", "must be int"),
        ("page-idle-s", True, "must be float"),
        ("page-title", 5, "must be str"),
        ("page-host", "0.0.0.0", "lets other machines in"),  # noqa: S104
    ],
)
def test_a_wrong_setting_of_the_page_is_told(
    key: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        PageSettings.from_node({key: value}, ["a", "b"])


def test_a_device_without_data_or_store_has_no_page(node: dict[str, object]) -> None:
    settings = PageSettings(classes=("a", "b"))
    for key in ("data", "store", "rights"):
        less = {name: value for name, value in node.items() if name != key}
        with pytest.raises(ConfigError, match=f"needs {key}"):
            page_of_device(less, settings, FakeClock(NOON), print)


def test_a_store_that_cannot_be_used_is_told_before_the_page_begins(
    node: dict[str, object],
) -> None:
    store = Path(str(node["store"]))
    store.write_text("no store")
    settings = PageSettings(classes=("a", "b"))

    with pytest.raises(StoreError, match="cannot open the store"):
        page_of_device(node, settings, FakeClock(NOON), print)
