"""The labelling page of a device, over its folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.folders import open_folder, write_app
from tests.support.client.site import free_port, running

from fedask.client.records.exhibit import Medium
from fedask.client.site.device_page import page_of_device, page_settings
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import DataError, StoreError
from fedask.common.ids import Uid, content_uid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def put_image(folder: Path, name: str, grey: int) -> Uid:
    data = b"P5 2 2 255\n" + bytes([grey] * 4)
    (folder / name).write_bytes(data)
    return content_uid(np.frombuffer(data, np.uint8))


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "scans").mkdir()
    write_app(tmp_path, ["cat", "dog"])
    return {
        "data": {"data": "scans"},
        "desk": {"rule": "two"},
        "page": {"port": free_port(), "title": "Ward 3"},
    }


def test_a_page_over_the_files_of_a_device_shows_and_keeps(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    uid = put_image(tmp_path / "scans", "a.pgm", 7)
    store = SqliteStore(tmp_path / "device.db")
    store.queue.add(1, [uid])
    store.close()
    folder = open_folder(tmp_path, settings, FakeClock(NOON))
    page = page_settings(folder)
    tokens: list[str] = []
    app = page_of_device(folder, page, tokens.append)
    address = f"http://127.0.0.1:{page.port}"
    with running(app, page), httpx.Client(base_url=address) as http:
        http.get(f"/?token={tokens[-1]}")
        assert "Ward 3" in http.get("/").text
        headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
        http.post("/api/lease", json={"limit": 2}, headers=headers)
        image = http.get(f"/api/sample/{uid}/0")
        assert image.headers["content-type"] == "image/png"
        assert image.content.startswith(b"\x89PNG")
    assert (tmp_path / "device.db.sessions").exists()


def test_a_sample_that_arrives_later_is_found_after_a_while(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    clock = FakeClock(NOON)
    first = put_image(tmp_path / "scans", "a.pgm", 7)
    with open_folder(tmp_path, settings, clock).new_exhibit() as exhibit:
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
    settings: dict[str, Any], tmp_path: Path
) -> None:
    uids = [put_image(tmp_path / "scans", f"{n}.pgm", n) for n in (7, 9)]
    rows = f"uid,consent\n{uids[0]},yes\n{uids[1]},no\n"
    (tmp_path / "scans" / "provenance.csv").write_text(rows)
    (tmp_path / "rights.toml").write_text(
        '[[rule]]\nwhen = {consent = "yes"}\nmay = ["show"]\n'
    )
    settings["rights"] = "rights.toml"
    folder = open_folder(tmp_path, settings, FakeClock(NOON))
    with folder.new_exhibit() as exhibit:
        assert exhibit.parts(uids[0])[0].medium is Medium.IMAGE
        with pytest.raises(DataError):
            exhibit.parts(uids[1])


def test_a_store_that_cannot_be_used_is_told_before_the_page_begins(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "device.db").write_text("no store")
    folder = open_folder(tmp_path, settings, FakeClock(NOON))

    with pytest.raises(StoreError, match="cannot open the store"):
        page_of_device(folder, page_settings(folder), print)
