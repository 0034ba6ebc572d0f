"""The labelling page over loopback: who gets in, what is refused, what is kept."""

import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from tests.support.client.permits import Nothing
from tests.support.client.site import Site

from fedask.client.labelling.web.logins import add_login, remove_login
from fedask.client.labelling.web.middleware import POLICY
from fedask.client.store.sqlite.store import SqliteStore

CLASSES = ("cat", "dog", "bird")
SAMPLES = np.array([f"secret sample {number}" for number in range(30)])
GOOD = "four plain words here"
OTHER_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "evil@127.0.0.1",
    "",
    "127.0.0.1/x",
    "[::1",
    "localhost.evil.example:80",
    "0.0.0.0",  # noqa: S104  (a name that must not do)
)
FORGED = (
    {"x-csrf-token": ""},
    {"x-csrf-token": "0" * 64},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},  # another port of this machine
)
WRONG: tuple[dict[str, Any], ...] = (
    {"annotation": 3},
    {"annotation": -1},
    {"annotation": True},
    {"annotation": "given"},
    {"annotation": None},
    {"annotation": [0]},
    {"token": "x"},
    {"token": ""},
    {"uid": "0" * 32},
    {"uid": 5},
    {"key": ""},
    {"key": "k" * 129},
    {"key": "ключ"},
    {"also": ["x"] * 13},
    {"also": "all"},
)


class Caller:
    """A browser, as far as HTTP goes."""

    opened: ClassVar[list[httpx.Client]] = []

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.Client(base_url=site.address, timeout=20)
        self.opened.append(self.http)
        self.csrf = ""

    def follow(self) -> "Caller":
        assert self.http.get(self.site.link).status_code == 200
        return self.start()

    def sign_in(self, name: str, password: str = GOOD) -> httpx.Response:
        page = self.http.get("/login")
        secret = page.text.split('name="secret" value="')[1].split('"')[0]
        fields = {"secret": secret, "name": name, "password": password}
        return self.http.post("/login", data=fields)

    def start(self) -> "Caller":
        self.csrf = self.http.get("/api/start").json()["csrf"]
        return self

    def post(self, path: str, **body: Any) -> httpx.Response:  # noqa: ANN401
        return self.http.post(path, json=body, headers={"x-csrf-token": self.csrf})

    def lease(self, limit: int = 4) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post("/api/lease", limit=limit).json()[
            "leases"
        ]
        return found

    def answer(
        self, lease: dict[str, Any], annotation: object, key: str
    ) -> httpx.Response:
        fields = {"uid": lease["uid"], "token": lease["token"]}
        return self.post("/api/answer", annotation=annotation, key=key, **fields)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Caller.opened:
        Caller.opened.pop().close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, SAMPLES, CLASSES, near=[(0, 1), (0, 2)]).running() as found:
        yield found


@pytest.fixture(scope="module")
def two_logins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logins") / "logins.json"
    for name in ("anna", "ben"):
        add_login(path, name, GOOD)
    return path


@pytest.fixture
def ward(tmp_path: Path, two_logins: Path) -> Iterator[Site]:
    """A page with logins."""
    logins = tmp_path / "logins.json"
    shutil.copy(two_logins, logins)
    with Site(tmp_path, SAMPLES, CLASSES, logins=logins).running() as found:
        yield found


def test_a_disk_that_refuses_a_sign_in_is_told_on_a_page(ward: Site) -> None:
    caller = Caller(ward)
    assert ward.settings.sessions is not None
    ward.settings.sessions.mkdir()  # nothing can be written in its place

    refused = caller.sign_in("anna")

    assert refused.status_code == 500
    assert refused.headers["content-type"].startswith("text/html")
    assert "The device cannot do this now" in refused.text
    ward.settings.sessions.rmdir()
    assert caller.sign_in("anna").status_code == 303


def test_every_reply_carries_the_headers_that_protect_it(site: Site) -> None:
    caller = Caller(site).follow()
    replies = [
        caller.http.get("/"),
        caller.http.get("/static/page.js"),
        caller.http.get("/nothing"),
        caller.http.get("/api/sample/none"),
        caller.http.post("/api/lease", json={"limit": 1}),
        caller.http.get("/", headers={"host": "evil.example"}),
        caller.http.put("/"),
        Caller(site).http.get("/"),
    ]
    assert [reply.status_code for reply in replies] == [
        200, 200, 404, 409, 403, 421, 405, 403,
    ]  # fmt: skip
    for reply in replies:
        assert reply.headers["content-security-policy"] == POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in reply.headers
        assert "unsafe" not in reply.headers["content-security-policy"]
    cached = [reply.headers["cache-control"] for reply in replies]
    assert cached == ["no-store", "no-cache"] + ["no-store"] * 6


def test_nothing_describes_the_interface(site: Site) -> None:
    caller = Caller(site).follow()
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert caller.http.get(path).status_code == 404


def test_a_request_for_another_host_is_refused(site: Site) -> None:
    for host in OTHER_HOSTS:
        reply = Caller(site).http.get("/", headers={"host": host})
        assert reply.status_code in {400, 421}, host


def test_every_name_of_loopback_is_the_page(site: Site) -> None:
    for host in ("localhost", "LOCALHOST:80", "[::1]:80", "127.0.0.1"):
        reply = Caller(site).http.get("/static/icon.svg", headers={"host": host})
        assert reply.status_code == 200, host


def test_a_change_that_another_page_asks_for_is_refused(site: Site) -> None:
    caller = Caller(site).follow()
    for headers in FORGED:
        sent = {"x-csrf-token": caller.csrf, **headers}
        for path in ("/api/lease", "/api/answer", "/api/undo", "/logout"):
            reply = caller.http.post(path, json={"limit": 1}, headers=sent)
            assert reply.status_code == 403, headers
    assert len(caller.lease(1)) == 1  # still signed in


def test_nobody_gets_anything_without_a_session(site: Site) -> None:
    stranger = Caller(site)
    uid = site.uids[0]
    for path in (
        "start",
        "progress",
        f"sample/{uid}",
        f"sample/{uid}/0",
        f"guess/{uid}",
    ):
        assert stranger.http.get(f"/api/{path}").status_code == 401
    for path in ("/api/lease", "/api/answer", "/api/undo", "/logout"):
        assert stranger.post(path).status_code == 401
    page = stranger.http.get("/")
    assert page.status_code == 403
    assert "its own link" in page.text


def test_the_link_lets_in_one_browser_once(site: Site) -> None:
    link = site.link
    first = httpx.get(link)
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert httpx.get(link).status_code == 403
    assert "set-cookie" not in httpx.get(f"{site.address}/?token=guess").headers
    assert site.link != link  # the next one


def test_a_sample_is_shown_to_whoever_holds_it_alone(ward: Site) -> None:
    anna, ben = Caller(ward), Caller(ward)
    anna.sign_in("anna")
    ben.sign_in("ben")
    (lease,) = anna.start().lease(1)
    uid = lease["uid"]
    content = anna.http.get(f"/api/sample/{uid}/0")
    assert content.text == "secret sample 0"
    assert content.headers["content-type"] == "text/plain; charset=utf-8"
    assert content.headers["cache-control"] == "no-store"
    assert ben.start().http.get(f"/api/sample/{uid}/0").status_code == 409
    assert ben.http.get(f"/api/sample/{uid}").status_code == 409
    for part in ("1", "-1", "x", "99999999999", "%C2%B2"):
        assert anna.http.get(f"/api/sample/{uid}/{part}").status_code == 409
    ward.stop()
    ward.start()  # what she holds is still hers
    assert anna.http.get(f"/api/sample/{uid}/0").status_code == 200


def test_the_same_answer_sent_again_changes_nothing(site: Site) -> None:
    caller = Caller(site).follow()
    first, second, *_ = caller.lease(4)
    replies = [caller.answer(first, 1, "key-1").json() for _ in range(3)]
    assert replies[0] == replies[1] == replies[2]
    assert site.answers() == {first["uid"]: 1}
    assert caller.answer(second, 1, "key-1").status_code == 409
    assert len(site.annotations()) == 1


def test_undo_of_one_answer_takes_it_back_once(site: Site) -> None:
    caller = Caller(site).follow()
    first, second, *_ = caller.lease(4)
    caller.answer(first, 1, "key-1")
    caller.answer(second, "skip", "key-2")
    assert caller.post("/api/undo", key="key-1").status_code == 409  # not the last
    for _ in range(3):  # a reply that was lost is asked for again
        assert caller.post("/api/undo", key="key-2").json() == {"uid": second["uid"]}
    assert site.answers() == {first["uid"]: 1}
    assert caller.post("/api/undo").json() == {"uid": first["uid"]}
    assert caller.post("/api/undo").json() == {"uid": None}


def test_look_alikes_that_were_answered_meanwhile_are_left_out(site: Site) -> None:
    caller = Caller(site).follow()
    leases = {lease["uid"]: lease for lease in caller.lease(4)}
    first, second, third = (leases[uid] for uid in site.uids[:3])
    assert set(first["near"]) == {second["uid"], third["uid"]}
    caller.answer(second, 0, "key-1")
    fields = {"uid": first["uid"], "token": first["token"], "also": first["near"]}
    reply = caller.post("/api/answer", annotation=2, key="key-2", **fields)
    assert reply.json()["shared"] == [third["uid"]]
    assert site.answers() == {second["uid"]: 0, first["uid"]: 2, third["uid"]: 2}


def test_an_answer_that_cannot_be_is_refused_for_good(site: Site) -> None:
    caller = Caller(site).follow()
    (lease,) = caller.lease(1)
    fields = {"uid": lease["uid"], "token": lease["token"], "annotation": 0, "key": "k"}
    for wrong in WRONG:
        reply = caller.post("/api/answer", **{**fields, **wrong})
        assert reply.status_code == 409, wrong
    assert site.annotations() == []


def test_an_answer_to_what_may_not_be_used_any_more_is_refused_for_good(
    site: Site,
) -> None:
    caller = Caller(site).follow()
    first, second, *_ = caller.lease(4)
    caller.answer(first, 1, "key-1")
    with closing(SqliteStore(site.path)) as store:
        store.rights.apply(Nothing(), site.clock.now())

    reply = caller.answer(second, 1, "key-2")

    assert reply.status_code == 410  # the page sends it no more
    assert reply.json() == {"error": "this sample may not be used any more"}
    assert site.answers() == {first["uid"]: 1}
    assert caller.answer(first, 1, "key-1").status_code == 200  # as it was then
    assert caller.lease(4) == []


def test_what_may_not_be_shown_any_more_is_not_shown_to_who_had_it_on_the_screen(
    site: Site,
) -> None:
    caller = Caller(site).follow()
    (lease,) = caller.lease(1)
    paths = [f"/api/sample/{lease['uid']}", f"/api/sample/{lease['uid']}/0"]
    near = [f"/api/sample/{uid}/0" for uid in lease["near"]]
    assert all(caller.http.get(path).status_code == 200 for path in paths + near)

    with closing(SqliteStore(site.path)) as store:
        store.rights.apply(Nothing(), site.clock.now())

    for path in (*paths, *near, f"/api/guess/{lease['uid']}"):
        reply = caller.http.get(path)
        assert reply.status_code == 410, path
        assert "secret" not in reply.text


def test_what_is_no_json_object_is_refused(site: Site) -> None:
    caller = Caller(site).follow()
    headers = {"x-csrf-token": caller.csrf}
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 60_000, b"1"):
        for path in ("/api/answer", "/api/lease", "/api/undo"):
            reply = caller.http.post(path, content=body, headers=headers)
            assert reply.status_code == 409, body[:9]


def test_nobody_takes_more_samples_than_the_page_gives(site: Site) -> None:
    caller = Caller(site).follow()
    for limit in (-1, 5, 1.0, True, "4", None):
        assert caller.post("/api/lease", limit=limit).status_code == 409, limit


def test_a_request_that_is_too_large_is_refused_unread(site: Site) -> None:
    caller = Caller(site).follow()
    headers = {"x-csrf-token": caller.csrf}
    large = b"x" * (site.settings.max_body_bytes + 1)
    told = caller.http.post("/api/answer", content=large, headers=headers)
    assert told.status_code == 413
    chunked = iter([large[:40_000], large[40_000:]])  # without a length
    assert (
        caller.http.post("/api/answer", content=chunked, headers=headers).status_code
        == 413
    )
    assert caller.http.get("/api/start").status_code == 200


def test_a_head_that_is_too_large_is_refused_while_it_comes(site: Site) -> None:
    head = b"GET / HTTP/1.1\r\n" + 64 * (b"x: " + b"x" * (1 << 20) + b"\r\n")
    place = ("127.0.0.1", site.settings.port)
    with (
        socket.create_connection(place, 20) as client,
        pytest.raises(OSError, match=r"reset|pipe|aborted"),
    ):
        client.sendall(head)


def test_name_and_password_let_in_and_signing_out_ends_it(ward: Site) -> None:
    anna = Caller(ward)
    assert anna.http.get("/").headers["location"] == "/login"
    assert anna.sign_in("anna").headers["location"] == "/"
    assert "anna" in anna.http.get("/").text
    anna.start().lease(4)
    copied = dict(anna.http.cookies)
    assert anna.post("/logout").status_code == 200
    assert anna.http.get("/api/start").status_code == 401
    thief = httpx.get(f"{ward.address}/api/start", cookies=copied)
    assert thief.status_code == 401
    ben = Caller(ward)
    ben.sign_in("ben")
    assert ben.start().lease(1)[0]["uid"] == ward.uids[0]  # she gave hers back


def test_a_login_form_of_another_page_is_not_taken(ward: Site) -> None:
    fields = {"name": "anna", "password": GOOD, "secret": "0" * 64}
    forged = httpx.post(f"{ward.address}/login", data=fields)
    assert forged.headers["location"] == "/login"
    assert "fedask-" not in forged.headers.get("set-cookie", "")


def test_guessing_passwords_is_slowed_down_by_the_clock(ward: Site) -> None:
    thief = Caller(ward)
    statuses = [thief.sign_in("anna", f"wrong {n}").status_code for n in range(7)]
    assert statuses == [403] * 4 + [429] * 3
    assert thief.sign_in("anna").status_code == 429  # even if it is right by now
    ward.clock.time += timedelta(seconds=16)
    assert thief.sign_in("anna").status_code == 303


def test_names_that_are_known_and_unknown_get_the_same_reply(ward: Site) -> None:
    known, unknown = (Caller(ward).sign_in(n, "wrong one") for n in ("anna", "zoe"))
    assert known.status_code == unknown.status_code == 403
    pages = [reply.text.split("</form>")[0] for reply in (known, unknown)]
    strip = [page.split('value="', 1)[1].split('"', 1)[1] for page in pages]
    assert strip[0].replace("anna", "") == strip[1].replace("zoe", "")


def test_a_session_ends_when_nobody_uses_it(ward: Site) -> None:
    anna = Caller(ward)
    anna.sign_in("anna")
    ward.clock.time += timedelta(seconds=ward.settings.idle_s - 1)
    assert anna.http.get("/api/start").status_code == 200
    ward.clock.time += timedelta(seconds=ward.settings.idle_s + 1)
    assert anna.http.get("/api/start").status_code == 401


def test_a_login_that_is_removed_is_out_at_once(ward: Site) -> None:
    anna = Caller(ward)
    anna.sign_in("anna")
    anna.start()
    assert ward.settings.logins is not None
    remove_login(ward.settings.logins, "anna")
    assert anna.http.get("/api/start").status_code == 401
    assert anna.post("/api/lease", limit=1).status_code == 401


def test_many_requests_at_once_never_give_a_sample_to_two(ward: Site) -> None:
    got: dict[str, list[str]] = {"anna": [], "ben": []}

    def work(name: str) -> None:
        caller = Caller(ward)
        caller.sign_in(name)
        caller.start()
        for number in range(5):
            for lease in caller.lease(2):
                got[name].append(lease["uid"])
                caller.answer(lease, 0, f"{number} {lease['uid']}")

    threads = [threading.Thread(target=work, args=(name,)) for name in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got["anna"]) == len(got["ben"]) == 10
    assert not set(got["anna"]) & set(got["ben"])


def test_logs_hold_no_sample_name_token_or_label(
    ward: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    anna = Caller(ward)
    anna.sign_in("anna", "wrong password")
    anna.sign_in("anna")
    (lease,) = anna.start().lease(1)
    anna.http.get(f"/api/sample/{lease['uid']}/0")
    anna.answer(lease, 77, "a-key")
    anna.answer(lease, 1, "a-key")
    own = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert any(record.name.startswith("fedask") for record in own)
    text = "\n".join(f"{r.getMessage()} {r.__dict__}" for r in own)
    secrets = [lease["uid"], lease["token"], "anna", "a-key", "secret sample", GOOD]
    assert [secret for secret in secrets if secret in text] == []
    assert anna.csrf not in text
