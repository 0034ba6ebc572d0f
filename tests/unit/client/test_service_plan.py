import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedask.client.service.plan import read_plan
from fedask.client.service.settings import Limits
from fedask.client.testing import FakeClock
from fedask.common.errors import ConfigError, FedaskError

DOCUMENT = Path(__file__).parents[3] / "docs" / "labelling-service.md"
CLOCK = FakeClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
LEAST = """
store = "device.db"
task = "plan_app.task:task"
address = "unix:/run/fedask/desk"
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> Iterator[None]:
    package = tmp_path / "app" / "plan_app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "task.py").write_text(
        "from fedask.common.task import Task\n"
        "task = Task(classes=['cat', 'dog', 'owl'])\nnumber = 3\n"
    )
    before = list(sys.path)
    yield
    sys.path[:] = before
    for name in ("plan_app", "plan_app.task"):
        sys.modules.pop(name, None)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "service.toml"
    path.write_text(text)
    return path


def test_a_plan_says_what_to_serve_and_its_paths_count_from_the_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "rules.txt").write_text("An owl is no cat.")
    text = LEAST + 'app = "app"\nguidelines = "rules.txt"\nannotators = ["ann"]\n'
    text += '[limits]\nwindow = 5\nheartbeat_s = 3\n[desk]\nrule = "two"\n'

    plan = read_plan(written(tmp_path, text))

    assert plan.store == tmp_path / "device.db"
    assert plan.guidelines == "An owl is no cat."
    assert plan.service.annotators == {"ann"}
    assert plan.service.limits == Limits(window=5, heartbeat_s=3)
    assert plan.open(CLOCK).address == ""  # it does not listen yet


def test_certificates_and_people_are_read(tmp_path: Path) -> None:
    text = LEAST.replace("unix:/run/fedask/desk", "ward:50051")
    text += '[tls]\ncertificate = "c.pem"\nkey = "/k.pem"\nclients = "a.pem"\n'
    text += '[people]\n"ann.site" = "ann"\n'

    service = read_plan(written(tmp_path, text)).service

    assert service.people == {"ann.site": "ann"}
    assert service.tls is not None
    assert service.tls.certificate == tmp_path / "c.pem"
    assert service.tls.key == Path("/k.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no store"),
        ("store = 3", "store = 3 must be str"),
        ("adress = 'x'", "did you mean 'address'"),
        ("store = ", "cannot read"),
        (LEAST + "guidelines = 'none.txt'", "cannot read"),
        (LEAST + "[limits]\nwindows = 3", "did you mean 'window'"),
        (LEAST + "[limits]\nwindow = 0", "window"),
        (LEAST + "[limits]\nwindow = true", "must be int"),
        (LEAST + "[desk]\nclasses = 3", "leave it out"),
        (LEAST + "[people]\nann = 3", "must be str"),
        (LEAST + "annotators = ['a b']", "annotator 'a b'"),
        (LEAST + "[tls]\nkey = 'k'", "lacks certificate, clients"),
        (LEAST.replace("unix:/run/fedask/desk", "0.0.0.0:1"), "needs tls"),
        ("# " + "x" * (1 << 20), "bytes"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FedaskError, match=message):
        read_plan(written(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('task = "plan_app.task:task"', "cannot import"),  # without app
        ('task = "plan_app.task:tusk"\napp = "app"', "did you mean 'task'"),
        ('task = "plan_app.task:number"\napp = "app"', "is a int, not a Task"),
        ('task = "plan_app.task:task"\napp = "app"\ndesk = {rul = "two"}', "'rule'"),
        ('task = "plan_app.task:task"\napp = "app"\ndesk = {rule = "x"}', "rule 'x'"),
    ],
)
def test_what_a_plan_names_must_be_there(
    tmp_path: Path, change: str, message: str
) -> None:
    text = LEAST.replace('task = "plan_app.task:task"', change)

    with pytest.raises(ConfigError, match=message):
        read_plan(written(tmp_path, text)).open(CLOCK)


def test_the_plan_of_the_documentation_is_read(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    (tmp_path / "guidelines.txt").write_text("")
    start = text.index("```toml") + len("```toml")

    plan = read_plan(written(tmp_path, text[start : text.index("```", start)]))

    assert plan.service.address == "unix:/run/fedask/desk"
    assert plan.desk == {"rule": "two", "lease_s": 600}
