from pathlib import Path
from typing import Any

import pytest

from fedask.client.labelling.grpc.channel import connect
from fedask.client.labelling.grpc.service_address import ServiceAddress
from fedask.client.labelling.grpc.service_settings import (
    ServerTls,
    ServiceLimits,
    ServiceSettings,
)
from fedask.common.errors import ConfigError, ProtocolError

TOKEN = Path("token")
TLS = ServerTls(certificate=Path("c"), key=Path("k"), clients=Path("a"))
PEOPLE = {"ann.site": "ann"}


@pytest.mark.parametrize(
    ("text", "target", "is_local"),
    [
        ("unix:/run/fedask/desk", "unix:/run/fedask/desk", True),
        ("127.0.0.1:0", "127.0.0.1:0", True),
        ("127.8.9.1:50051", "127.8.9.1:50051", True),
        ("[::1]:50051", "[::1]:50051", True),
        ("localhost:50051", "127.0.0.1:50051", True),
        ("0.0.0.0:50051", "0.0.0.0:50051", False),
        ("[::]:50051", "[::]:50051", False),
        ("192.168.1.7:50051", "192.168.1.7:50051", False),
        ("ward-3.site:50051", "ward-3.site:50051", False),
        ("localhost.evil.example:1", "localhost.evil.example:1", False),
    ],
)
def test_an_address_is_local_by_its_text_alone(
    text: str, target: str, is_local: bool
) -> None:
    address = ServiceAddress.parse(text)

    assert (address.target, address.is_local) == (target, is_local)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        "unix:run/desk",
        "unix:/" + "a" * 100,
        "127.0.0.1",
        "127.0.0.1:",
        ":50051",
        "host:65536",
        "host:-1",
        "host:٣",
        "::1:50051",
        "[]:1",
        "dns:///evil:443",
        "https://host:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="service address"):
        ServiceAddress.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "192.168.1.7:1"}, "needs tls"),
        ({"address": "0.0.0.0:1", "token": TOKEN}, "needs tls"),
        ({"address": "[::]:1", "people": PEOPLE}, "needs tls"),
        ({"address": "127.0.0.1:1"}, "every program"),
        ({"address": "127.0.0.1:1", "token": TOKEN, "people": PEOPLE}, "no tls"),
        ({"address": "ward:1", "tls": TLS}, "needs people"),
        ({"address": "unix:/a/b", "tls": TLS, "people": PEOPLE}, "no certificates"),
        (
            {"address": "ward:1", "tls": TLS, "people": PEOPLE, "token": TOKEN},
            "leave annotators and token out",
        ),
    ],
)
def test_a_service_that_would_be_too_open_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ServiceSettings(**options)


def test_people_must_have_names() -> None:
    with pytest.raises(ProtocolError, match="annotator 'a b'"):
        ServiceSettings(address="ward:1", tls=TLS, people={"ann.site": "a b"})


@pytest.mark.parametrize("name", ServiceLimits.__slots__)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_of_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        ServiceLimits(**{name: value})  # type: ignore[arg-type]


def test_more_content_than_a_client_receives_is_refused() -> None:
    with pytest.raises(ConfigError, match="content_bytes"):
        ServiceLimits(content_bytes=1 << 28)


def test_a_client_goes_beyond_this_machine_with_certificates_only() -> None:
    with pytest.raises(ConfigError, match="needs certificates"):
        connect("192.168.1.7:50051", None, None)
