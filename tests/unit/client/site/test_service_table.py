import tomllib
from pathlib import Path

import pytest
from fedask.client.site.service_table import service_settings

from fedask.client.labelling.grpc.service_settings import ServiceLimits
from fedask.client.site.device_settings import read_device_settings
from fedask.common.errors import FedaskError

DOCUMENT = Path(__file__).parents[4] / "docs" / "device" / "labelling-service.md"
LEAST = 'address = "unix:/run/fedask/desk"\n'


def test_the_table_says_where_and_for_whom(tmp_path: Path) -> None:
    text = LEAST + 'annotators = ["ann"]\n[limits]\nwindow = 5\nheartbeat_s = 3\n'

    settings = service_settings(tomllib.loads(text), tmp_path)

    assert settings.annotators == {"ann"}
    assert settings.limits == ServiceLimits(window=5, heartbeat_s=3)


def test_paths_count_from_the_folder(tmp_path: Path) -> None:
    told = {"address": "unix:run/desk", "annotators": []}
    assert service_settings(told, tmp_path).address == f"unix:{tmp_path}/run/desk"
    told = {"address": "127.0.0.1:0", "token": "token"}
    assert service_settings(told, tmp_path).token == tmp_path / "token"


def test_certificates_and_people_are_read(tmp_path: Path) -> None:
    text = 'address = "ward:50051"\n'
    text += '[tls]\ncertificate = "c.pem"\nkey = "/k.pem"\nclients = "a.pem"\n'
    text += '[people]\n"ann.site" = "ann"\n'

    service = service_settings(tomllib.loads(text), tmp_path)

    assert service.people == {"ann.site": "ann"}
    assert service.tls is not None
    assert service.tls.certificate == tmp_path / "c.pem"
    assert service.tls.key == Path("/k.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no address"),
        ("address = 3", "address = 3 must be str"),
        ("adress = 'x'", "did you mean 'address'"),
        (LEAST + "[limits]\nwindows = 3", "did you mean 'window'"),
        (LEAST + "[limits]\nwindow = 0", "window"),
        (LEAST + "[limits]\nwindow = true", "must be int"),
        (LEAST + "[people]\nann = 3", "must be str"),
        (LEAST + "annotators = ['a b']", "annotator 'a b'"),
        (LEAST + "[tls]\nkey = 'k'", "lacks certificate, clients"),
        (LEAST.replace("unix:/run/fedask/desk", "0.0.0.0:1"), "needs tls"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FedaskError, match=message):
        service_settings(tomllib.loads(text), tmp_path)


def test_the_table_of_the_documentation_is_read(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    start = text.index("```toml") + len("```toml")
    (tmp_path / "device.toml").write_text(
        'device = "x"\napp = "app"\nrights = "open"\n[data]\ndata = "scans"\n'
        + text[start : text.index("```", start)]
    )

    site = read_device_settings(tmp_path)

    settings = service_settings(site.service, tmp_path)
    assert settings.address == "unix:/run/fedask/desk"
    assert site.service["guidelines"] == "guidelines.txt"
