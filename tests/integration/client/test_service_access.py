"""Who may call the labelling service, and who not."""

import socket
import stat
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from tests.support.client.certificates import Authority, Pair
from tests.support.client.services import Place, uid

from fedask.client.labelling.grpc.channel import ClientTls
from fedask.client.labelling.grpc.client import LabellingClient
from fedask.client.labelling.grpc.error_table import (
    ForbiddenError,
    MalformedError,
    UnauthenticatedError,
)
from fedask.client.labelling.grpc.service_server import SERVICE
from fedask.client.labelling.grpc.service_settings import ServerTls, ServiceSettings
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.common.errors import ConfigError, UnavailableError
from fedask.common.ids import Annotator


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(folder=tmp_path)
    place.queue(1, 2)
    return place


def port(place: Place, **more: object) -> ServiceSettings:
    token = place.folder / "token"
    return ServiceSettings(address="127.0.0.1:0", token=token, **more)  # type: ignore[arg-type]


def test_the_socket_and_its_folder_are_the_owners_alone(place: Place) -> None:
    with place.serving():
        path = place.folder / "run" / "desk"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o770])
def test_a_folder_that_others_may_enter_is_refused(place: Place, mode: int) -> None:
    (place.folder / "run").mkdir()
    (place.folder / "run").chmod(mode)

    with pytest.raises(ConfigError, match="chmod 700"), place.serving():
        pass


def test_a_file_in_the_place_of_the_socket_is_left_alone(place: Place) -> None:
    (place.folder / "run").mkdir(mode=0o700)
    (place.folder / "run" / "desk").write_text("mine")

    with pytest.raises(ConfigError, match="no socket"), place.serving():
        pass
    assert (place.folder / "run" / "desk").read_text() == "mine"


def test_a_port_is_open_to_whoever_can_read_the_token(place: Place) -> None:
    token = place.folder / "token"
    with place.serving(port(place)) as service:
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        with LabellingClient(service.address, "ann", token=token) as client:
            assert client.lease(1)[0].uid == uid(1)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer wrong"),),
        (("authorization", "{token}"),),
        (("authorization", "Bearer {token} "),),
        (("authorization", "Bearer {token}"), ("authorization", "Bearer {token}")),
        (("authorization-bin", "Bearer {token}"),),
    ],
)
def test_without_the_token_nothing_is_told(
    place: Place, metadata: tuple[tuple[str, str], ...]
) -> None:
    with place.serving(port(place)) as service:
        token = (place.folder / "token").read_text().strip()
        sent = tuple(
            (key, text.encode() if key.endswith("-bin") else text)
            for key, template in metadata
            for text in [template.format(token=token)]
        )
        for method, raw in (("Lease", b"\xff"), ("Describe", b""), ("Nothing", b"")):
            with grpc.insecure_channel(service.address) as channel:
                call = channel.unary_unary(f"/{SERVICE}/{method}")
                with pytest.raises(grpc.RpcError) as refused:
                    call(raw, timeout=10.0, metadata=sent)
            expected = {"Nothing": grpc.StatusCode.UNIMPLEMENTED}
            assert refused.value.code() is expected.get(
                method, grpc.StatusCode.UNAUTHENTICATED
            )


def test_health_needs_no_token(place: Place) -> None:
    with (
        place.serving(port(place)) as service,
        LabellingClient(service.address, "ann") as client,
    ):
        assert client.is_serving()
        with pytest.raises(UnauthenticatedError, match="token file"):
            client.lease(1)


def test_a_token_stays_the_same_after_a_restart(place: Place) -> None:
    texts = []
    for _ in range(2):
        with place.serving(port(place)):
            texts.append((place.folder / "token").read_text())

    assert texts[0] == texts[1]
    assert len(texts[0]) > 40


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("a" * 43, 0o644, "chmod 600"),
        ("a" * 43, 0o660, "chmod 600"),
        ("", 0o600, "holds no token"),
        ("short", 0o600, "holds no token"),
        ("a" * 40 + "\nb", 0o600, "holds no token"),
        ("a" * 70_000, 0o600, "bytes"),
    ],
)
def test_a_token_file_that_proves_nothing_is_refused_by_both_sides(
    place: Place, text: str, mode: int, message: str
) -> None:
    token = place.folder / "token"
    token.write_text(text)
    token.chmod(mode)

    with pytest.raises(ConfigError, match=message), place.serving(port(place)):
        pass
    with pytest.raises(ConfigError, match=message):
        LabellingClient("127.0.0.1:1", "ann", token=token)


def test_a_port_that_is_taken_is_told(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        settings = ServiceSettings(address=address, token=place.folder / "token")
        with pytest.raises(UnavailableError, match="taken"), place.serving(settings):
            pass


def test_only_who_is_on_the_list_may_work(place: Place) -> None:
    listed = frozenset({Annotator("ann")})
    settings = ServiceSettings(address=place.address, annotators=listed)
    with place.serving(settings), place.client() as ann, place.client("bob") as bob:
        assert ann.lease(1)[0].uid == uid(1)
        with pytest.raises(ForbiddenError):
            bob.lease(1)
        with pytest.raises(ForbiddenError):
            bob.describe()


def test_an_app_must_name_who_sits_before_it(place: Place) -> None:
    with (
        place.serving(),
        place.client("") as client,
        pytest.raises(MalformedError),
    ):
        client.lease(1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def encrypted(authority: Authority, **people: str) -> ServiceSettings:
    pair = authority.service()
    named = {name.replace("_", "."): person for name, person in people.items()}
    return ServiceSettings(
        address="127.0.0.1:0",
        tls=ServerTls(
            certificate=pair.certificate, key=pair.key, clients=authority.path
        ),
        people=named,
    )


def as_person(pair: Pair, authority: Authority) -> ClientTls:
    return ClientTls(
        certificate=pair.certificate, key=pair.key, authority=authority.path
    )


def test_a_certificate_says_who_works(place: Place, authority: Authority) -> None:
    tls = as_person(authority.person("ann-laptop"), authority)
    with place.serving(encrypted(authority, **{"ann-laptop": "ann"})) as service:
        with LabellingClient(service.address, tls=tls) as client:
            (sample,) = client.lease(1)
            client.label(sample, 1)
        with (
            LabellingClient(service.address, "bob", tls=tls) as client,
            pytest.raises(ForbiddenError),
        ):
            client.lease(1)

    assert [annotation.annotator for annotation in place.annotations()] == ["ann"]


@pytest.mark.parametrize(
    ("common", "alternatives", "who"),
    [
        ("ann", (), "ann"),
        ("eve", (), None),
        ("x", ("ann.site",), "ann"),
        ("ann", ("eve.site",), None),  # a common name beside others counts for nothing
        ("x", ("ann.site", "eve.site"), "ann"),
        ("x", ("ann.site", "bob.site"), None),  # two people
    ],
)
def test_names_of_a_certificate_are_looked_up_on_the_sites_list(
    place: Place,
    authority: Authority,
    common: str,
    alternatives: tuple[str, ...],
    who: str | None,
) -> None:
    settings = encrypted(authority, ann="ann", ann_site="ann", bob_site="bob")
    tls = as_person(authority.person(common, *alternatives), authority)
    with (
        place.serving(settings) as service,
        LabellingClient(service.address, tls=tls) as client,
    ):
        if who is None:
            with pytest.raises(ForbiddenError):
                client.lease(1)
        else:
            client.lease(1)

    assert place.leased("ann") == ([uid(1)] if who else [])
    assert place.leased("bob") == []


def test_a_certificate_of_another_authority_opens_nothing(
    place: Place, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    tls = as_person(other.person("ann"), authority)
    with (
        place.serving(encrypted(authority, ann="ann")) as service,
        LabellingClient(service.address, tls=tls, timeout_s=1.0) as client,
        pytest.raises(UnavailableError),
    ):
        client.lease(1)


def test_without_a_certificate_or_without_tls_nothing_is_opened(
    place: Place, authority: Authority
) -> None:
    with place.serving(encrypted(authority, ann="ann")) as service:
        roots = authority.path.read_bytes()
        for channel in (
            grpc.secure_channel(service.address, grpc.ssl_channel_credentials(roots)),
            grpc.insecure_channel(service.address),
        ):
            with channel:
                call = channel.unary_unary(f"/{SERVICE}/Describe")
                with pytest.raises(grpc.RpcError) as refused:
                    call(pb.DescribeRequest().SerializeToString(), timeout=5.0)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_service_with_another_certificate_gets_no_answer(
    place: Place, authority: Authority, tmp_path: Path
) -> None:
    person = authority.person("ann")
    with place.serving(encrypted(authority, ann="ann")) as service:
        other = Authority(tmp_path, "other")
        with (
            LabellingClient(
                service.address, tls=as_person(person, other), timeout_s=1.0
            ) as client,
            pytest.raises(UnavailableError),
        ):
            client.lease(1)


def test_a_key_that_others_may_read_is_refused_by_both_sides(
    place: Place, authority: Authority
) -> None:
    settings = encrypted(authority, ann="ann")
    person = authority.person("ann")
    assert settings.tls is not None
    for key in (settings.tls.key, person.key):
        key.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"), place.serving(settings):
        pass
    with pytest.raises(ConfigError, match="chmod 600"):
        LabellingClient("127.0.0.1:1", tls=as_person(person, authority))


@pytest.mark.parametrize("wrong", ["certificate", "key", "clients", "other key"])
def test_certificates_that_cannot_be_used_are_told(
    place: Place, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    settings = encrypted(authority, ann="ann")
    assert settings.tls is not None
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    nonsense.chmod(0o600)
    change = {wrong: nonsense}
    if wrong == "other key":
        change = {"key": authority.person("ann").key}
    settings = replace(settings, tls=replace(settings.tls, **change))

    with pytest.raises(ConfigError, match="cannot be used"), place.serving(settings):
        pass
