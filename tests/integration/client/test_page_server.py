"""The labelling page as a process: TLS, signals, a taken port, a failing disk."""

import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.client.site import Site
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.web.logins import add_login
from fedask.client.labelling.web.page_app import labelling_page
from fedask.client.labelling.web.page_server import address_of, serve, server_of
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.records.annotation import Lease
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, StoreError

SAMPLES = np.array([f"sample {number}" for number in range(6)])
CLASSES = ("cat", "dog")
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from tests.support.client.site import Site
from fedask.client.labelling.web.page_app import labelling_page
from fedask.client.labelling.web.page_server import serve

samples = np.array([f"sample {number}" for number in range(6)])
site = Site(Path(sys.argv[1]), samples, ("cat", "dog"))
def announce(token):
    print(site.settings.port, token, flush=True)
serve(labelling_page(site.desk, site.exhibit, site.settings, site.clock, announce),
      site.settings)
"""


def put_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of 127.0.0.1 that only itself vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[1].chmod(0o600)
    return paths


def test_a_page_for_other_machines_speaks_tls_alone(tmp_path: Path) -> None:
    certificate, key = put_certificate(tmp_path)
    logins = tmp_path / "logins.json"
    add_login(logins, "anna", "four plain words here")
    site = Site(
        tmp_path,
        SAMPLES,
        CLASSES,
        host="0.0.0.0",  # noqa: S104  (the case)
        names=("localhost",),
        certificate=certificate,
        private_key=key,
        logins=logins,
    )
    trust = ssl.create_default_context(cafile=str(certificate))
    address = f"https://localhost:{site.settings.port}"
    assert address_of(site.settings) == address + "/"
    with site.running(), httpx.Client(base_url=address, verify=trust) as http:
        page = http.get("/login")
        secret = page.text.split('name="secret" value="')[1].split('"')[0]
        fields = {"secret": secret, "name": "anna", "password": "four plain words here"}
        entered = http.post("/login", data=fields, headers={"origin": address})
        cookie = entered.headers.get_list("set-cookie")[0]
        assert cookie.startswith("__Host-fedask=")
        assert "Secure" in cookie
        assert http.get("/api/start").json()["annotator"] == "anna"
        wrong = http.get("/", headers={"host": f"127.0.0.1:{site.settings.port}"})
        assert wrong.status_code == 421
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{site.settings.port}/login")


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    certificate, key = put_certificate(tmp_path)
    key.write_text("broken")
    settings = PageSettings(classes=CLASSES, certificate=certificate, private_key=key)
    site = Site(tmp_path, SAMPLES, CLASSES)
    app = labelling_page(site.desk, site.exhibit, settings, site.clock, print)
    with pytest.raises(ConfigError, match="cannot use"):
        server_of(app, settings)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read the private key"):
        server_of(app, settings)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path, SAMPLES, CLASSES)
    app = labelling_page(site.desk, site.exhibit, site.settings, site.clock, print)
    with socket.socket() as other:
        other.bind(("127.0.0.1", site.settings.port))
        other.listen()
        with pytest.raises(ConfigError, match="is the port taken"):
            serve(app, site.settings)


def test_a_signal_ends_the_page_and_what_was_acknowledged_is_kept(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            port, token = process.stdout.readline().split()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                http.get(f"/?token={token}")
                headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
                (lease,) = http.post(
                    "/api/lease", json={"limit": 1}, headers=headers
                ).json()["leases"]
                said = {
                    "uid": lease["uid"],
                    "token": lease["token"],
                    "annotation": 1,
                    "key": "k",
                }
                assert (
                    http.post("/api/answer", json=said, headers=headers).status_code
                    == 200
                )
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) in {0, -signal.SIGTERM}
                with pytest.raises(httpx.TransportError):
                    http.get("/")
        finally:
            process.kill()
    assert not list(tmp_path.glob("device.db-wal"))  # closed, not cut off
    with closing(SqliteStore(tmp_path / "device.db")) as store:
        (annotation,) = store.annotations.newest(9, None)
    assert (annotation.uid, annotation.label) == (lease["uid"], 1)


@pytest.mark.parametrize(
    ("code", "status"), [(sqlite3.SQLITE_FULL, 507), (sqlite3.SQLITE_IOERR, 500)]
)
def test_a_disk_that_fails_is_told_from_a_full_one_and_not_explained(
    code: int, status: int, tmp_path: Path
) -> None:
    def refuse(*_: object) -> NoReturn:
        cause = sqlite3.OperationalError("the disk says no")
        cause.sqlite_errorcode = code
        raise StoreError("store /srv/device.db: the disk says no") from cause

    site = Site(tmp_path, SAMPLES, CLASSES)
    whole = site.desk

    @contextmanager
    def full() -> Iterator[Desk]:
        with whole() as desk:
            desk.lease = refuse  # type: ignore[method-assign, assignment]
            yield desk

    site.desk = full  # type: ignore[method-assign]
    with site.running(), httpx.Client(base_url=site.address) as http:
        http.get(site.link)
        headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
        reply = http.post("/api/lease", json={"limit": 1}, headers=headers)
        assert reply.status_code == status
        assert "srv" not in reply.text


class Broken(Desk):
    """A desk with a fault that nobody thought of."""

    @override
    def lease(self, annotator: str, limit: int) -> list[Lease]:
        none: dict[str, Lease] = {}
        return [none["secret of " + annotator]]


def test_a_fault_says_nothing_of_the_inside_and_keeps_the_headers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, SAMPLES, CLASSES)
    whole = site.desk

    @contextmanager
    def faulty() -> Iterator[Desk]:
        with whole() as desk:
            desk.__class__ = Broken
            yield desk

    site.desk = faulty  # type: ignore[method-assign]
    with site.running(), httpx.Client(base_url=site.address) as http:
        http.get(site.link)
        headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
        reply = http.post("/api/lease", json={"limit": 1}, headers=headers)
        assert reply.status_code == 500
        assert "content-security-policy" in reply.headers
        assert "secret" not in reply.text
    assert "secret" not in caplog.text
    assert "page failed" in caplog.text
