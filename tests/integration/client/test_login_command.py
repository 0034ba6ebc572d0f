"""``fedask device login``: who may sign in to the page."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedask.common.command_line import app
from fedask.common.errors import ConfigError

APP = '[tool.flwr.app.config.task]\nname = "ward_login_task:task"\n'
TASK = 'from fedask.common import Task\ntask = Task(classes=["cat", "dog"])\n'
DEVICE = """
device = "ward-3"
app = "app"
rights = "open"
[data]
data = "photos"
[page]
logins = "logins.json"
"""
TYPED = "four plain words here"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(APP)
    (tmp_path / "app" / "ward_login_task.py").write_text(TASK)
    (tmp_path / "device.toml").write_text(DEVICE)
    return tmp_path


def login(folder: Path, *args: str) -> Result:
    told = ["device", "login", *args, "--site", str(folder)]
    result = CliRunner().invoke(app, told, input=f"{TYPED}\n{TYPED}\n")
    if result.exception is not None:
        raise result.exception
    return result


def people(folder: Path) -> str:
    text = (folder / "logins.json").read_text()
    assert json.loads(text) is not None
    assert TYPED not in text
    return text


def test_people_are_let_in_and_no_longer(folder: Path) -> None:
    assert "ann may sign in" in login(folder, "ann").output
    login(folder, "bob")
    assert "ann" in people(folder)

    assert "ann may sign in no longer" in login(folder, "ann", "--remove").output

    assert "ann" not in people(folder)
    assert "bob" in people(folder)


def test_a_login_that_is_not_there_cannot_be_removed(folder: Path) -> None:
    login(folder, "ann")

    with pytest.raises(ConfigError, match="there is no login of 'bob'"):
        login(folder, "bob", "--remove")


def test_a_page_without_logins_says_how_to_have_them(folder: Path) -> None:
    bare = DEVICE.replace('logins = "logins.json"', "")
    (folder / "device.toml").write_text(bare)

    with pytest.raises(ConfigError, match=r"page\.logins is missing: add logins = "):
        login(folder, "ann")
