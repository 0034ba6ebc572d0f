"""A fleet whose devices fail says so at the server, where no simulation judges it."""

import json
import logging
from pathlib import Path

import pytest
from tests.support.server.runs import play


def test_the_server_tells_in_log_and_account_that_most_devices_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "flwr"):
        play(tmp_path / "out", {"train.lr": 1e30})
    account = json.loads((tmp_path / "out" / "server.json").read_text())
    assert account["failed"].startswith("most devices failed in ")
    assert account["failed"] in caplog.messages
