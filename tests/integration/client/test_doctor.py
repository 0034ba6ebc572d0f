"""``fedask device doctor`` finds what a deployer gets wrong, once, and says where."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.client.world import SAMPLES, UIDS

from fedask.client.site.checkup import examine
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.finding import Finding, Grade

PROJECT = '[tool.flwr.app.config.task]\nname = "doctor_{name}:task"\n'
TASK = "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'], "
TASK += "model='linear', input_shape={shape})\n"
DEVICE = 'device = "ward-3"\napp = "app"\nrights = "open"\n[data]\ndata = "data"\n'


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir(mode=0o700)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "pool.npy", SAMPLES)
    write(tmp_path, "device.toml", DEVICE + 'kind = "array"\n')
    (tmp_path / "device.toml").chmod(0o600)
    name = f"{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")
    write(tmp_path, "app/pyproject.toml", PROJECT.format(name=name))
    task(tmp_path).write_text(TASK.format(shape=SAMPLES.shape[1:]))
    return tmp_path


def write(ward: Path, name: str, text: str) -> None:
    (ward / name).write_text(text)


def add(ward: Path, text: str) -> None:
    with (ward / "device.toml").open("a") as file:
        file.write(text)


def task(ward: Path) -> Path:
    """Return the task file: a module of its own for every test."""
    name = f"{ward.parent.name}_{ward.name}".replace("-", "_")
    return ward / "app" / f"doctor_{name}.py"


def faults(ward: Path) -> list[Finding]:
    return [each for each in examine(ward) if each.grade is not Grade.GOOD]


def wrong(ward: Path) -> Finding:
    """Return the one thing that is wrong; whatever needs it was not looked at."""
    first, *others = faults(ward)
    assert {(each.text, each.advice) for each in others} <= {
        ("not looked at", f"mend {first.check} first")
    }
    return first


def test_a_good_device_has_no_fault(ward: Path) -> None:
    assert faults(ward) == []


@pytest.mark.parametrize(
    ("table", "check", "told"),
    [
        ("colour = 1\n", "settings", "unknown key 'data.colour' (valid: "),
        ('show = "imagine"\n', "data", "show = 'imagine' must be image"),
        ('[desk]\nrul = "two"\n', "settings", "unknown key 'desk.rul' (did you mean"),
        ('[seal]\nkeey = "x"\n', "settings", "unknown key 'seal.keey' (did you"),
        ("[local_model]\nanswers = -3\n", "settings", "local_model.answers = -3: must"),
        ('[page]\ntitel = "x"\n', "settings", "(did you mean 'page.title'?)"),
        ('[page]\nlogins = "none.json"\n', "page", "cannot read the logins"),
        (
            '[page]\ncertificate = "a.pem"\nprivate_key = "a.key"\n',
            "page",
            "cannot read the private key",
        ),
        (
            '[page]\nhost = "0.0.0.0"\n',
            "settings",
            "needs a TLS certificate",
        ),
        ('[service]\naddress = "0.0.0.0:5000"\n', "settings", "is beyond this machine"),
        ('[service]\nadress = "unix:a"\n', "settings", "unknown key 'service.adress'"),
        ("[eligible]\nbatery_min = 40\n", "settings", "'eligible.battery_min'?)"),
        ('[eligible]\nhours = "25:00-06:00"\n', "settings", "eligible.hours = "),
    ],
)
def test_a_wrong_setting_is_found_where_it_stands(
    ward: Path, table: str, check: str, told: str
) -> None:
    add(ward, table)

    found = wrong(ward)

    assert (found.check, found.grade) == (check, Grade.WRONG)
    assert told in found.text


def test_an_app_that_is_gone_is_named_once(ward: Path) -> None:
    add(ward, '[page]\ntitle = "Ward 3"\n[service]\naddress = "unix:run/desk"\n')
    text = (ward / "device.toml").read_text()
    write(ward, "device.toml", text.replace('"app"', '"nowhere"'))

    assert "device.toml: app: no scenario at" in wrong(ward).text


def test_a_task_file_that_is_no_python_is_told_without_a_traceback(ward: Path) -> None:
    task(ward).write_text("def (\n")

    found = wrong(ward)

    assert found.check == "task"
    assert "SyntaxError: invalid syntax" in found.text
    assert "line 1" in found.text


def test_a_lost_key_is_told_once(ward: Path) -> None:
    assert faults(ward) == []
    (ward / "device.db.key").unlink()

    assert "sealed with a key that is not in" in wrong(ward).text


def test_a_store_that_cannot_be_made_is_told_without_a_traceback(ward: Path) -> None:
    text = (ward / "device.toml").read_text()
    write(ward, "device.toml", 'store = "no/such/device.db"\n' + text)

    assert "cannot open the store" in wrong(ward).text


@pytest.mark.parametrize("name", [".", "app"])
def test_who_may_change_the_folder_may_run_code_here(ward: Path, name: str) -> None:
    (ward / name).chmod(0o777)

    found = wrong(ward)

    assert found.text == f"{ward / name} may be changed by other users of this machine"
    assert found.advice.startswith("chmod ")


def test_an_app_with_other_classes_than_the_labels_is_found(ward: Path) -> None:
    with DeviceFolder.open(ward) as site:
        site.store.classes.keep(["dog", "cat"])
        site.store.queue.add(1, [UIDS[0]])
        site.store.queue.answer({UIDS[0]: 1})

    found = wrong(ward)

    assert (found.check, found.grade) == ("store", Grade.WRONG)
    assert "are of the classes dog, cat; the app has cat, dog" in found.text


def test_what_is_set_aside_is_counted_by_reason(ward: Path) -> None:
    sizes = [(2, 2)] * 30 + [(3, 3), (4, 4), (5, 5)]
    for number, size in enumerate(sizes):
        data = b"P5 %d %d 255\n" % size + bytes([number] * size[0] * size[1])
        (ward / "data" / f"{number:02}.pgm").write_bytes(data)
    (ward / "data" / "pool.npy").unlink()
    (ward / "data" / "away.pgm").symlink_to("/etc/hostname")
    text = (ward / "device.toml").read_text()
    write(ward, "device.toml", text.replace('"array"', '"images"'))
    task(ward).write_text(TASK.format(shape=(1, 2, 2)))

    (found,) = faults(ward)

    assert found.grade is Grade.DOUBTFUL
    assert "30 samples in" in found.text
    assert found.text.endswith(
        "4 set aside: is not uint8 2x2 as most others are: 30.pgm and 2 more; "
        "is a link that leads out of the folder: away.pgm"
    )
    assert found.advice.startswith("set width, height and mode in [data]")
