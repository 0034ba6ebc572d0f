from pathlib import Path

import pytest

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.service_settings import ServiceLimits
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
    assert site.app == tmp_path / "../my-app"
    assert site.store == tmp_path / "device.db"
    assert site.data == {"data": str(tmp_path / "scans"), "width": 32}


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    site = read_device_settings(
        write(tmp_path, GOOD.replace('"scans"', '"/srv/scans"'))
    )
    assert site.data["data"] == "/srv/scans"


def test_the_desk_is_configured_by_its_table(tmp_path: Path) -> None:
    desk = read_device_settings(write(tmp_path, GOOD)).desk
    assert desk == DeskSettings(rule="two", lease_s=60.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("devise = 'x'", "unknown key 'devise'.*did you mean 'device'"),
        (GOOD.replace("device =", "#"), "device is missing"),
        (GOOD.replace("app =", "#"), "app is missing"),
        (GOOD.replace("rights =", "#"), 'rights.toml.* or say rights = "open"'),
        (GOOD.replace('"open"', "1"), "rights must be a path"),
        (GOOD.replace("[data]", "[desk2]"), "unknown key 'desk2'"),
        (GOOD.replace('data = "scans"', ""), "data.data must be the path"),
        (GOOD.replace('"ward-3"', "3"), "device = 3 must be of type str"),
        (GOOD.replace('"ward-3"', '"ward 3"'), "device id 'ward 3' must be"),
        ('device = "x"\ndata = "scans"', "data must be a table, not 'scans'"),
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


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[desk]\nrule = 'on'", r"device\.toml: desk: rule 'on' must be one, two"),
        ("[desk]\nrul = 'one'", "unknown key 'desk.rul'.*did you mean 'desk.rule'"),
        ("[desk]\nclasses = 3", "unknown key 'desk.classes'"),
        ("[desk]\nunsure = 0", "desk: unsure = 0"),
        ("[desk]\nlease_s = 'long'", "desk.lease_s = 'long' must be of type float"),
        ("[desk]\ncontrols = 1.5", r"desk.controls = 1.5: must lie in \[0, 1\)"),
        ("[desk]\nunsure = true", "desk.unsure = True must be of type int"),
        ("[own]\nanswers = 4", "unknown key 'own'"),
        ("[local_model]\nanswer = 4", "did you mean 'local_model.answers'"),
        ("[seal]\nkeyring = 'a'\nkey = 'b'", "seal.keyring = 'a': stands instead"),
        ("[page]\nprot = 80", "did you mean 'page.port'"),
        ("[page]\nclasses = ['a']", "unknown key 'page.classes'"),
        ("[page]\nport = '80'", "page.port = '80' must be of type int"),
        ("[page]\nidle_s = true", "page.idle_s = True must be of type float"),
        ("[page]\ntitle = 5", "page.title = 5 must be of type str"),
        ("[page]\nhost = '0.0.0.0'", "page.host = 0.0.0.0 lets other machines in"),
        ("[page]\nnames = 'a, b'", "page.names = 'a, b' must be a list of texts"),
        ("[eligible]\nbattery_min = 0", "eligible.battery_min = 0: asks for nothing"),
        ("[service]\nadress = 'x'", "did you mean 'service.address'"),
        ("[service]\naddress = 3", "service.address = 3 must be of type str"),
        ("[service]", "service.address is missing"),
        ("[service.limits]\nwindows = 3", "did you mean 'service.limits.window'"),
        ("[service.limits]\nwindow = 0", "service.limits.window = 0"),
        ("[service.people]\nann = 3", "service.people.ann = 3 must be a text"),
        ("[service.tls]\nkey = 'k'", "service.tls.certificate is missing"),
        ("[service]\naddress = '0.0.0.0:1'", "service: .*needs tls"),
        ("[service]\naddress = 'unix:a'\nannotators = ['a b']", "annotator 'a b'"),
    ],
)
def test_a_wrong_key_of_any_table_is_named_with_its_file(
    tmp_path: Path, table: str, message: str
) -> None:
    good = GOOD[: GOOD.index("[desk]")]
    with pytest.raises(ConfigError, match=rf"device\.toml: .*{message}|{message}"):
        read_device_settings(write(tmp_path, good + table))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("kind = 'images'\nwidht = 3", "did you mean 'data.width'"),
        ("kind = 'images'\nwatch_ = 3", "did you mean 'data.watch'"),
        ("kind = 'images'\nheight = 'x'", "data.height = 'x' must be of type int"),
        ("kind = 'joined'\ncolumn = 'x'", "unknown key 'data.column'"),
    ],
)
def test_an_option_that_the_kind_of_data_does_not_have_is_named(
    tmp_path: Path, option: str, message: str
) -> None:
    text = GOOD.replace("width = 32", option)
    with pytest.raises(ConfigError, match=rf"device\.toml: .*{message}"):
        read_device_settings(write(tmp_path, text))


def test_the_service_is_set_up_by_its_table(tmp_path: Path) -> None:
    table = '[service]\naddress = "unix:run/desk"\nannotators = ["ann"]\n'
    limits = "[service.limits]\nwindow = 5\nheartbeat_s = 3\n"
    service = read_device_settings(write(tmp_path, GOOD + table + limits)).service

    assert service is not None
    assert service.address == f"unix:{tmp_path}/run/desk"
    assert service.annotators == {"ann"}
    assert service.limits == ServiceLimits(window=5, heartbeat_s=3)


def test_certificates_and_people_are_read(tmp_path: Path) -> None:
    table = '[service]\naddress = "ward:50051"\n[service.people]\n"ann.site" = "ann"\n'
    tls = '[service.tls]\ncertificate = "c.pem"\nkey = "/k.pem"\nclients = "a.pem"\n'
    service = read_device_settings(write(tmp_path, GOOD + table + tls)).service

    assert service is not None
    assert service.tls is not None
    assert service.people == {"ann.site": "ann"}
    assert service.tls.certificate == tmp_path / "c.pem"
    assert service.tls.key == Path("/k.pem")


def test_the_page_is_set_up_by_its_table(tmp_path: Path) -> None:
    table = """[page]
host = "192.168.1.5"
names = ["ward3.example", "ward3"]
certificate = "c.pem"
private_key = "/etc/k.pem"
logins = "logins.json"
idle_s = 600
ahead = 2
"""
    page = read_device_settings(write(tmp_path, GOOD + table)).page

    assert page is not None
    assert page.names == ("ward3.example", "ward3")
    assert (page.certificate, page.private_key) == (
        tmp_path / "c.pem",
        Path("/etc/k.pem"),
    )
    assert (page.idle_s, page.ahead, page.tls) == (600, 2, True)
