"""Logins, sessions, attempts, the one-time link and the settings of the page."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.client.clock import FakeClock

from fedask.client.labelling.web.attempts import FORGOTTEN, FREE, LONGEST_WAIT, Attempts
from fedask.client.labelling.web.auth import EntryLink
from fedask.client.labelling.web.logins import Logins, add_login, remove_login
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.labelling.web.sessions import MAX_SESSIONS, Sessions, csrf_of
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.ids import Annotator

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANNA, BEN = Annotator("anna"), Annotator("ben")
GOOD = "four plain words here"
NO_WAIT = timedelta(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


def same(_: str) -> str:
    return "stamp"


def test_a_login_lets_in_with_its_own_password_alone(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    add_login(path, "anna", GOOD)
    add_login(path, "ben", GOOD + "!")
    logins = Logins(path)
    assert logins.check("anna", GOOD) == ANNA
    assert logins.check("anna", GOOD + "!") is None
    assert logins.check("anna", "") is None
    assert logins.check("nobody", GOOD) is None
    assert logins.check("a" * 1000, "b" * 100_000) is None


def test_passwords_are_kept_hashed_salted_and_private(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    for name in ("anna", "ben"):
        add_login(path, name, GOOD)
    text = path.read_text()
    assert GOOD not in text
    kept = json.loads(text)["logins"]
    assert kept["anna"]["scrypt"] != kept["ben"]["scrypt"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["logins.json"]


def test_the_same_letters_typed_otherwise_are_the_same_password(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    add_login(path, "anna", "grüne Wiesen im Mai")
    assert Logins(path).check("anna", "gru\u0308ne Wiesen im Mai") == ANNA


def test_a_login_may_be_removed_or_replaced_while_the_page_runs(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    add_login(path, "anna", GOOD)
    add_login(path, "ben", GOOD)
    logins = Logins(path)
    before = logins.stamp("anna")
    add_login(path, "anna", "another few words")
    assert logins.check("anna", GOOD) is None
    assert logins.stamp("anna") not in {before, None}
    assert remove_login(path, "ben")
    assert not remove_login(path, "ben")
    assert logins.stamp("ben") is None
    assert logins.check("ben", GOOD) is None


@pytest.mark.parametrize("password", ["short", "x" * 11, "x" * 257])
def test_a_password_that_is_too_short_or_long_is_refused(
    tmp_path: Path, password: str
) -> None:
    with pytest.raises(ConfigError, match="12 to 256"):
        add_login(tmp_path / "logins.json", "anna", password)


def test_a_name_that_is_none_gets_no_login(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="annotator"):
        add_login(tmp_path / "logins.json", "anna\nben", GOOD)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2, "logins": {}}', '{"format":1,"logins":[1]}']
)
def test_a_damaged_file_of_logins_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "logins.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no file of logins"):
        Logins(path)


def test_a_file_of_logins_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    add_login(path, "anna", GOOD)
    path.chmod(0o620)
    with pytest.raises(ConfigError, match="chmod 600"):
        Logins(path)


def test_a_session_ends_without_use_and_after_a_shift(clock: FakeClock) -> None:
    sessions = Sessions(clock, idle_s=600, shift_s=3600)
    cookie = sessions.begin(ANNA, "stamp")
    for _ in range(6):
        clock.time += timedelta(seconds=590)
        found = sessions.find(cookie, same)
        assert found is not None
        assert found.annotator == ANNA
    clock.time += timedelta(seconds=590)
    assert sessions.find(cookie, same) is None  # the shift
    other = sessions.begin(ANNA, "stamp")
    clock.time += timedelta(seconds=601)
    assert sessions.find(other, same) is None  # idle
    clock.time -= timedelta(seconds=601)
    assert sessions.find(other, same) is None  # for good


def test_a_session_ends_when_its_login_changes_or_goes(clock: FakeClock) -> None:
    sessions = Sessions(clock, 600, 3600)
    for stamp in ("new", None):
        cookie = sessions.begin(ANNA, "stamp")
        now = {"anna": stamp}
        assert sessions.find(cookie, now.get) is None
        assert sessions.find(cookie, same) is None


def test_no_other_cookie_is_a_session(clock: FakeClock) -> None:
    sessions = Sessions(clock, 600, 3600)
    cookie = sessions.begin(ANNA, "stamp")
    for other in ("", cookie[:-1], cookie + "x", "\udcff"):
        assert sessions.find(other, same) is None
    assert sessions.begin(ANNA, "stamp") != cookie
    assert csrf_of(cookie) != csrf_of(cookie + "x")


def test_the_oldest_session_of_a_person_makes_room(clock: FakeClock) -> None:
    sessions = Sessions(clock, 600, 3600)
    other = sessions.begin(BEN, "stamp")
    cookies = [sessions.begin(ANNA, "stamp") for _ in range(MAX_SESSIONS + 2)]
    alive = [sessions.find(cookie, same) is not None for cookie in cookies]
    assert alive == [False, False] + [True] * MAX_SESSIONS
    assert sessions.find(other, same) is not None


def test_sessions_outlive_a_restart_and_their_file_lets_nobody_in(
    clock: FakeClock, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.json"
    cookie = Sessions(clock, 600, 3600, path).begin(ANNA, "stamp")
    again = Sessions(clock, 600, 3600, path)
    assert again.find(cookie, same) is not None
    assert path.stat().st_mode & 0o777 == 0o600
    rows = json.loads(path.read_text())["sessions"]
    assert cookie not in path.read_text()
    assert all(again.find(key, same) is None for key in rows)
    again.end(cookie)
    assert Sessions(clock, 600, 3600, path).find(cookie, same) is None


def test_a_damaged_file_of_sessions_is_refused(
    clock: FakeClock, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.json"
    path.write_text('{"sessions": {"a": ["anna"]}}')
    with pytest.raises(ConfigError, match="delete it"):
        Sessions(clock, 600, 3600, path)


def test_whoever_guesses_waits_twice_as_long_each_time() -> None:
    attempts, now = Attempts(), NOON
    for _ in range(FREE["both"]):
        assert attempts.wait("anna", "1.2.3.4", now) == NO_WAIT
        attempts.failed("anna", "1.2.3.4", now)
    waits = []
    for _ in range(9):
        waits.append(attempts.wait("anna", "1.2.3.4", now).total_seconds())
        attempts.failed("anna", "1.2.3.4", now)
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert attempts.wait("anna", "1.2.3.4", now + LONGEST_WAIT) == NO_WAIT


def test_another_machine_cannot_soon_lock_a_person_out() -> None:
    attempts = Attempts()
    for _ in range(FREE["name"] - 1):
        attempts.failed("anna", "6.6.6.6", NOON)
    assert attempts.wait("anna", "6.6.6.6", NOON) > NO_WAIT
    assert attempts.wait("ben", "6.6.6.6", NOON) > NO_WAIT  # nor try every name
    assert attempts.wait("anna", "1.2.3.4", NOON) == NO_WAIT


def test_guesses_from_everywhere_at_one_name_are_slowed_down() -> None:
    attempts = Attempts()
    for at in range(FREE["name"]):
        attempts.failed("anna", f"10.0.0.{at}", NOON)
    assert attempts.wait("anna", "1.2.3.4", NOON) > NO_WAIT
    assert attempts.wait("anna", "1.2.3.4", NOON + FORGOTTEN) == NO_WAIT


def test_success_is_no_fresh_start_for_guesses_at_others() -> None:
    attempts = Attempts()
    for at in range(FREE["address"]):
        attempts.failed(f"name{at}", "6.6.6.6", NOON)
        attempts.failed("own", "6.6.6.6", NOON)
        attempts.succeeded("own", "6.6.6.6")
    assert attempts.wait("anna", "6.6.6.6", NOON) > NO_WAIT


def test_many_people_who_sign_in_at_one_machine_never_wait() -> None:
    attempts = Attempts()
    for at in range(2 * FREE["name"]):
        for name in ("anna", f"name{at}"):
            assert attempts.wait(name, "1.2.3.4", NOON) == NO_WAIT
            attempts.failed(name, "1.2.3.4", NOON)  # until the password is checked
            attempts.succeeded(name, "1.2.3.4")


def test_a_clock_set_back_does_not_lock_out_for_longer() -> None:
    attempts = Attempts()
    for _ in range(FREE["both"]):
        attempts.failed("anna", "1.2.3.4", NOON)
    wait = attempts.wait("anna", "1.2.3.4", NOON - timedelta(days=30))
    assert wait <= timedelta(seconds=15)


def test_a_link_works_once_and_the_next_is_announced() -> None:
    told: list[str] = []
    link = EntryLink(told.append)
    link.show()
    assert not link.use("")
    assert not link.use("x" * len(told[0]))
    assert link.use(told[0])
    assert not link.use(told[0])
    assert len(set(told)) == 2
    assert link.use(told[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "ward3.example"])  # noqa: S104
@pytest.mark.parametrize("lacks", ["both", "tls", "logins"])
def test_a_page_for_other_machines_needs_tls_and_logins(host: str, lacks: str) -> None:
    tls = {"certificate": Path("c.pem"), "private_key": Path("k.pem")}
    logins = {"logins": Path("logins.json")}
    given = {"both": {}, "tls": logins, "logins": tls}[lacks]
    with pytest.raises(ConfigError, match="lets other machines in"):
        PageSettings(classes=("a", "b"), host=host, **given)  # type: ignore[arg-type]
    named = {**tls, **logins, "names": ("ward3",)}
    PageSettings(classes=("a", "b"), host=host, **named)  # type: ignore[arg-type]


def test_a_page_at_every_address_needs_a_name_to_be_reached_by() -> None:
    files = {"certificate": Path("c"), "private_key": Path("k"), "logins": Path("l")}
    with pytest.raises(ConfigError, match="needs names"):
        PageSettings(classes=("a", "b"), host="0.0.0.0", **files)  # type: ignore[arg-type]  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_neither(host: str) -> None:
    assert host in PageSettings(classes=("a", "b"), host=host).hosts


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": ()},
        {"port": 70_000},
        {"ahead": 0},
        {"ahead": 21},
        {"idle_s": 0.0},
        {"shift_s": -1.0},
        {"max_body_bytes": 10},
        {"host": "a b"},
        {"names": ("evil/",)},
        {"certificate": Path("c.pem")},
        {"private_key": Path("k.pem")},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    keys = "|".join([*wrong, "certificate"])
    with pytest.raises(ConfigError, match=rf"^({keys})\b"):
        PageSettings(**{"classes": ("a", "b"), **wrong})  # type: ignore[arg-type]
