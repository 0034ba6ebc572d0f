from pathlib import Path

import pytest

from fedask.client.site.device_settings import FILE, MAX_BYTES, read_device_settings
from fedask.common.errors import ConfigError

GOOD = """
device = "ward-3"
app = "../my-app"
rights = "open"
[data]
data = "scans"
width = 32
[desk]
rule = "two"
lease_s = 60
"""


def write(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text)
    return folder


def test_paths_are_relative_to_the_folder(tmp_path: Path) -> None:
    site = read_device_settings(write(tmp_path, GOOD))
    assert site.device == "ward-3"
    assert site.app_path == tmp_path / "../my-app"
    assert site.store_path == tmp_path / "device.db"
    assert site.data == {"data": str(tmp_path / "scans"), "width": 32}


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    site = read_device_settings(
        write(tmp_path, GOOD.replace('"scans"', '"/srv/scans"'))
    )
    assert site.data["data"] == "/srv/scans"


def test_the_desk_is_configured_by_its_table(tmp_path: Path) -> None:
    settings = read_device_settings(write(tmp_path, GOOD)).desk_settings(10)
    assert (settings.rule, settings.lease_s, settings.classes) == ("two", 60, 10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("devise = 'x'", "unknown key 'devise'.*did you mean 'device'"),
        (GOOD.replace("device =", "#"), "has no device"),
        (GOOD.replace("app =", "#"), "has no app"),
        (GOOD.replace("rights =", "#"), 'rights.toml.* or say rights = "open"'),
        (GOOD.replace('"open"', "1"), "rights = 1 must be a text"),
        (GOOD.replace("[data]", "[desk2]"), "unknown key 'desk2'"),
        (GOOD.replace('data = "scans"', ""), r"\[data\] has no data"),
        (GOOD.replace('"ward-3"', "3"), "device = 3 must be a text"),
        (GOOD.replace('"ward-3"', '"ward 3"'), "device id 'ward 3' must be"),
        ('device = "x"\ndata = "scans"', "data = 'scans' must be a table"),
        ("device = ", "cannot read .*device.toml"),
        ("#" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_device_settings(write(tmp_path, wrong))


def test_a_folder_without_a_device_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fedask device init"):
        read_device_settings(tmp_path)


def test_when_an_own_model_is_trained_is_the_owner_s_to_say(tmp_path: Path) -> None:
    site = read_device_settings(write(tmp_path, GOOD + "[own]\nanswers = 4\n"))
    assert site.own_settings().answers == site.to_node()["own-answers"] == 4
    wrong = read_device_settings(write(tmp_path, GOOD + "[own]\nanswer = 4\n"))
    with pytest.raises(ConfigError, match=r"\[own\]: answer: no such setting"):
        wrong.own_settings()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('rule = "on"', r"device\.toml \[desk\]: rule 'on' must be one, two"),
        ('rul = "one"', r"\[desk\]: rul: no such setting \(did you mean 'rule'"),
        ("unsure = 0", r"\[desk\]: unsure = 0"),
    ],
)
def test_wrong_settings_of_the_desk_name_the_file(
    tmp_path: Path, wrong: str, message: str
) -> None:
    site = read_device_settings(write(tmp_path, GOOD.replace('rule = "two"', wrong)))
    with pytest.raises(ConfigError, match=message):
        site.desk_settings(10)
