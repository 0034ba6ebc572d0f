"""``fedask device login``: who may sign in to the page."""

import json
import os
import pty
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedask.client.labelling.web.logins import Logins
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
    if "--remove" not in args and "--password-file" not in args:
        told += ["--password-file", "-"]
    result = CliRunner().invoke(app, told, input=f"{TYPED}\n")
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


def test_a_password_is_taken_from_a_file_of_its_owner_alone(folder: Path) -> None:
    kept = folder / "ann.txt"
    kept.write_text(TYPED + "\n")
    kept.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read the password"):
        login(folder, "ann", "--password-file", str(kept))
    kept.chmod(0o600)
    assert (
        "ann may sign in" in login(folder, "ann", "--password-file", str(kept)).output
    )
    assert TYPED not in people(folder)
    assert Logins(folder / "logins.json").check("ann", TYPED) == "ann"


@pytest.mark.parametrize("content", ["two lines of\nthe password", "x" * 5000])
def test_a_file_that_is_no_password_is_refused(folder: Path, content: str) -> None:
    kept = folder / "ann.txt"
    kept.touch(0o600)
    kept.write_text(content)
    with pytest.raises(ConfigError, match=r"ann\.txt"):
        login(folder, "ann", "--password-file", str(kept))
    assert not (folder / "logins.json").exists()


def test_without_a_terminal_it_is_said_how_to_give_a_password(folder: Path) -> None:
    told = ["device", "login", "ann", "--site", str(folder)]
    result = CliRunner().invoke(app, told, input=f"{TYPED}\n{TYPED}\n")
    assert isinstance(result.exception, ConfigError)
    assert "--password-file" in str(result.exception)


def test_at_a_terminal_a_password_is_asked_for_twice(folder: Path) -> None:
    program = [sys.executable, "-m", "fedask.common.command_line", "device", "login"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*program, "ann", "--site", str(folder)])  # noqa: S606  (our own program)
    shown = b""
    for question in (b"password: ", b"confirmation: "):
        while not shown.endswith(question):
            shown += os.read(terminal, 1024)
        os.write(terminal, TYPED.encode() + b"\n")
    with suppress(OSError):  # Linux: the other end of the terminal is closed
        while piece := os.read(terminal, 1024):
            shown += piece
    assert os.waitpid(pid, 0)[1] == 0
    assert b"ann may sign in" in shown
    assert TYPED.encode() not in shown
