import html
import logging
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.client.clock import FakeClock
from tests.support.client.fake_studio import (
    LEGACY,
    PERSONAL,
    PROJECT,
    FakeStudio,
    StudioFault,
    fake_studio,
)
from tests.support.client.samples import (
    CLASSES,
    NOON,
    UIDS,
    Shown,
    desk,
    part,
)
from typing_extensions import override

from fedask.client.labelling.labelstudio.studio import PullSummary, Studio
from fedask.client.labelling.labelstudio.studio_address import (
    TOKEN_VARIABLE,
    StudioAddress,
    read_token,
)
from fedask.client.labelling.labelstudio.studio_connection import (
    ReplyTooLargeError,
    StudioConnection,
    UnsureError,
)
from fedask.client.labelling.labelstudio.task_export import (
    StudioPrediction,
    TaskExport,
    Which,
)
from fedask.client.records.annotation import Kind, Label
from fedask.client.records.exhibit import Medium
from fedask.client.records.label_queue import ItemState
from fedask.client.store.memory import MemoryStore
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, ProtocolError, UnavailableError
from fedask.common.ids import Uid


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    with fake_studio() as made:
        yield made


class Site:
    """A device beside the server."""

    def __init__(self, fake: FakeStudio, token: str = PERSONAL, **options: Any) -> None:  # noqa: ANN401
        self.store = MemoryStore()
        self.store.queue.add(1, UIDS)
        self.waited: list[float] = []
        address = StudioAddress(url=fake.url, token=token)
        self.link = StudioConnection(
            address, SystemClock(), self.waited.append, **options
        )
        self.studio = Studio(self.link, PROJECT, "ls")

    def shelf(self, **options: Any) -> TaskExport:  # noqa: ANN401
        return TaskExport(self.store, Shown(), CLASSES, **options)

    def pull(
        self,
        people: Mapping[str, str] | None = None,
        *,
        ground_truth: bool = False,
        take_back: bool = False,
    ) -> PullSummary:
        return self.studio.pull(
            desk(self.store),
            CLASSES,
            people or {},
            ground_truth=ground_truth,
            take_back=take_back,
        )


@pytest.fixture
def site(fake: FakeStudio) -> Iterator[Site]:
    made = Site(fake)
    with made.link:
        yield made


def chosen(name: str) -> list[dict[str, Any]]:
    value = {"choices": [name]}
    return [
        {
            "from_name": "label",
            "to_name": "show_sample",
            "type": "choices",
            "value": value,
        }
    ]


def at(minutes: int) -> dict[str, str]:
    time = (NOON + timedelta(minutes=minutes)).isoformat()
    return {"created_at": time, "updated_at": time}


def test_a_push_sends_what_waits_and_a_second_one_nothing(
    fake: FakeStudio, site: Site
) -> None:
    first = site.studio.push(site.shelf())
    again = site.studio.push(site.shelf())

    assert (first.pushed, first.present) == (8, 0)
    assert (again.pushed, again.present) == (0, 8)
    assert fake.uids() == UIDS
    assert "<Choices" in fake.config


def test_every_medium_and_guess_is_taken_by_the_server(
    fake: FakeStudio, site: Site
) -> None:
    parts = [part(medium, medium.name.lower()) for medium in Medium]
    shelf = TaskExport(site.store, Shown(parts), CLASSES, guess=StudioPrediction.CLASS)

    assert site.studio.push(shelf).pushed == 8
    assert fake.tasks[1]["data"].keys() == {
        *("image", "jpeg", "audio", "text", "series")
    }


def test_pages_are_followed_to_the_last(fake: FakeStudio, site: Site) -> None:
    site.store.queue.add(2, [Uid(f"{number:032x}") for number in range(100, 250)])

    assert site.studio.push(site.shelf()).pushed == 158
    assert site.studio.push(site.shelf()).pushed == 0
    assert sum("GET /api/tasks/" in each for each in fake.asked) == 1 + 3
    assert sum("import" in each for each in fake.asked) == 4  # of fifty each


def test_annotations_come_back_once(fake: FakeStudio, site: Site) -> None:
    fake.users |= {7: "bob@site.org"}
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), **at(1))
    fake.annotate(UIDS[0], result=chosen("cat"), completed_by=7, **at(2))
    fake.annotate(UIDS[1], result=[], was_cancelled=True, **at(3))
    # Whoever skips may have ticked something before.
    fake.annotate(UIDS[2], result=chosen("cat"), was_cancelled=True, **at(4))

    account = site.pull({"admin@site.org": "ann"})

    assert (account.kept, account.aside) == (4, 0)
    said = {
        (v.annotator, v.uid, v.label) for v in site.store.annotations.newest(9, None)
    }
    assert said == {
        ("ann", UIDS[0], 0),
        ("bob@site.org", UIDS[0], 0),
        ("ann", UIDS[1], None),
        ("ann", UIDS[2], None),
    }
    assert site.pull({"1": "ann"}).known == 4


def standing(site: Site) -> set[tuple[str, Uid]]:
    said = site.store.annotations.newest(99, None)
    return {(v.annotator, v.uid) for v in said if v.undone is None}


def test_what_was_deleted_there_stands_until_it_is_to_be_taken_back(
    fake: FakeStudio, site: Site
) -> None:
    fake.users |= {7: "bob@site.org"}
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), **at(1))
    fake.annotate(UIDS[0], result=chosen("cat"), completed_by=7, **at(2))
    fake.annotate(UIDS[1], result=chosen("cat"), **at(3))
    site.pull()
    before = standing(site)

    del fake.tasks[1]["annotations"][0]
    fake.tasks.pop(2)  # with its annotation: somebody has tidied up
    told = site.pull()
    assert (told.known, told.deleted, told.taken_back) == (1, 1, 0)
    assert standing(site) == before

    told = site.pull(take_back=True)
    assert (told.known, told.deleted, told.taken_back) == (1, 0, 1)
    assert standing(site) == before - {("admin@site.org", UIDS[0])}
    assert site.store.queue.items()[0].state is ItemState.QUEUED  # two must agree
    assert site.pull(take_back=True).taken_back == 0


def test_what_was_deleted_and_said_anew_counts(fake: FakeStudio, site: Site) -> None:
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), **at(1))
    site.pull()

    del fake.tasks[1]["annotations"][0]
    fake.annotate(UIDS[0], result=chosen("=dog"), **at(2))
    told = site.pull(take_back=True)

    assert (told.kept, told.taken_back) == (1, 1)
    (stands,) = [v for v in site.store.annotations.newest(9, None) if v.undone is None]
    assert stands.label == 1


def test_what_came_another_way_is_not_taken_back(fake: FakeStudio, site: Site) -> None:
    site.studio.push(site.shelf())
    office = desk(site.store)
    (lease,) = office.lease("ann", 1)
    office.submit("ann", lease.uid, lease.token, Label(0), "page-1")
    fake.annotate(UIDS[1], result=chosen("cat"), **at(1))
    elsewhere = Studio(site.link, PROJECT, "another server")
    elsewhere.pull(office, CLASSES, {})
    fake.tasks[2]["annotations"].clear()

    told = site.pull(take_back=True)

    assert (told.deleted, told.taken_back) == (0, 0)
    assert len(standing(site)) == 2


def test_what_a_model_was_trained_on_is_not_taken_back(
    fake: FakeStudio, site: Site
) -> None:
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), ground_truth=True, **at(1))
    site.pull(ground_truth=True)
    site.store.queue.trained({UIDS[0]: 0})
    fake.tasks[1]["annotations"].clear()

    told = site.pull(take_back=True)

    assert (told.deleted, told.taken_back) == (1, 0)
    assert site.store.queue.items()[0].state is ItemState.TRAINED


def test_an_annotation_that_was_changed_is_a_correction(
    fake: FakeStudio, site: Site
) -> None:
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), ground_truth=True, **at(1))
    site.pull()

    fake.tasks[1]["annotations"][0] |= {"result": chosen("=dog"), **at(2)}

    assert site.pull(ground_truth=True).kept == 1
    assert next(i.label for i in site.store.queue.items()) == 1


def test_one_wrong_annotation_is_set_aside_and_the_rest_is_kept(
    fake: FakeStudio, site: Site
) -> None:
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cow"), **at(1))
    fake.annotate(UIDS[1], result=chosen("cat"), completed_by=99, **at(1))
    fake.annotate(UIDS[2], result=chosen("cat"), **at(60 * 24 * 9))
    fake.annotate(UIDS[3], result=chosen("cat"), **at(1))

    account = site.pull()

    assert (account.kept, account.aside) == (1, 3)
    reasons = {aside.where.split(", ")[-1]: aside.reason for aside in account.asides}
    assert "'cow' is not a class" in reasons[UIDS[0]]
    assert "completed_by 99 is nobody" in reasons[UIDS[1]]
    assert "in the future" in reasons[UIDS[2]]


def test_stubs_of_annotations_are_asked_for_in_full(
    fake: FakeStudio, site: Site
) -> None:
    site.studio.push(site.shelf())
    fake.annotate(UIDS[0], result=chosen("cat"), **at(1))
    fake.annotate(UIDS[1], result=[], was_cancelled=True, **at(2))
    fake.stubs = True

    assert site.pull().kept == 2
    assert {v.kind for v in site.store.annotations.newest(9, None)} == {
        Kind.LABEL,
        Kind.SKIP,
    }


def test_tasks_that_are_not_ours_are_set_aside(fake: FakeStudio, site: Site) -> None:
    fake.tasks[1] = {
        "id": 1,
        "data": {"sample": "x"},
        "meta": {},
        "annotations": [{"id": 1, "completed_by": 1, "result": []}],
        "predictions": [],
    }

    assert site.studio.push(site.shelf()).pushed == 8
    assert site.pull().aside == 1


@pytest.mark.parametrize(
    "fault", [StudioFault.LOST, StudioFault.DEAF, StudioFault.BUSY, StudioFault.BROKEN]
)
def test_an_import_without_an_answer_sends_nothing_twice(
    fake: FakeStudio, site: Site, fault: StudioFault
) -> None:
    fake.faults = [("/import", fault)]

    assert site.studio.push(site.shelf()).pushed == 8
    assert fake.uids() == UIDS


def test_a_push_that_never_succeeds_gives_up(fake: FakeStudio, site: Site) -> None:
    fake.faults = [("/import", StudioFault.DEAF)] * 3

    with pytest.raises(UnsureError, match="did not answer"):
        site.studio.push(site.shelf())

    assert fake.uids() == []
    assert site.studio.push(site.shelf()).pushed == 8


def test_questions_are_asked_again_with_growing_pauses(
    fake: FakeStudio, site: Site
) -> None:
    busy_, slow = (
        ("/api/tasks/", StudioFault.BUSY),
        ("/api/tasks/", StudioFault.SLOW_DOWN),
    )
    fake.faults = [busy_, ("/api/tasks/", StudioFault.DEAF), slow, busy_]

    assert site.studio.push(site.shelf()).pushed == 8
    assert site.waited == [2.0, 4.0, 8.0, 16.0]


def test_the_server_may_ask_for_a_longer_pause(fake: FakeStudio, site: Site) -> None:
    fake.faults = [("/api/tasks/", StudioFault.SLOW_DOWN)]

    site.studio.push(site.shelf())

    assert site.waited == [7.0]


def test_a_server_that_stays_busy_is_given_up(fake: FakeStudio, site: Site) -> None:
    fake.faults = [("/api/tasks/", StudioFault.BUSY)] * 5

    with pytest.raises(UnavailableError, match=r"is busy \(503\) \(tried 5 times\)"):
        site.studio.push(site.shelf())


def test_a_server_that_is_not_there_is_named() -> None:
    waited: list[float] = []
    address = StudioAddress(url="http://127.0.0.1:9", token=LEGACY)
    with (
        StudioConnection(address, SystemClock(), waited.append) as link,
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9 cannot be reached"),
    ):
        link.get("/api/users/")

    assert waited == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (StudioFault.MOVED, ConfigError, "redirects, and the token does not follow"),
        (StudioFault.NONSENSE, Exception, "is no JSON"),
        (StudioFault.BROKEN, UnavailableError, "answers 500 .*: see its log"),
    ],
)
def test_an_answer_that_is_none_is_refused(
    fake: FakeStudio,
    site: Site,
    fault: StudioFault,
    error: type[Exception],
    reason: str,
) -> None:
    fake.faults = [("/api/tasks/", fault)]

    with pytest.raises(error, match=reason):
        site.studio.push(site.shelf())


def test_a_wrong_token_and_a_wrong_project_are_told_apart(fake: FakeStudio) -> None:
    stranger = Site(fake, token="e30.e30.e30")  # noqa: S106
    with stranger.link, pytest.raises(ConfigError, match=r"may not do this$"):
        stranger.studio.push(stranger.shelf())

    site = Site(fake)
    other = Studio(site.link, 99, "ls")
    with site.link, pytest.raises(ConfigError, match="right server and project"):
        other.push(site.shelf())


def test_a_personal_token_is_changed_for_short_lived_ones(fake: FakeStudio) -> None:
    site = Site(fake, token=PERSONAL)
    with site.link:
        fake.faults = [("/import", StudioFault.EXPIRED)]
        assert site.studio.push(site.shelf()).pushed == 8

    assert fake.uids() == UIDS
    assert fake.access == 2


def test_a_legacy_token_is_taken_where_the_server_allows_it(fake: FakeStudio) -> None:
    site = Site(fake, token=LEGACY)
    with site.link:
        with pytest.raises(ConfigError, match="take a personal access token, whole"):
            site.studio.push(site.shelf())
        fake.legacy = True
        assert site.studio.push(site.shelf()).pushed == 8

    assert fake.access == 0


def test_no_session_is_kept(fake: FakeStudio, site: Site) -> None:
    site.studio.push(site.shelf())
    site.pull()

    assert len(fake.asked) > 4
    assert fake.cookies == []


def test_a_new_project_asks_as_many_people_as_must_agree(
    fake: FakeStudio, site: Site
) -> None:
    site.studio.push(site.shelf(), quorum=2)

    assert fake.overlap == 2

    fake.overlap = 3  # somebody's choice
    site.store.queue.add(2, [Uid(f"{99:032x}")])
    assert site.studio.push(site.shelf(), quorum=2).pushed == 1
    assert fake.overlap == 3


ONE_CLASS = '<Choice value="cat"/>'
EVERY_CLASS = "".join(f'<Choice value="{html.escape(name)}"/>' for name in CLASSES)


@pytest.mark.parametrize(
    ("tag", "choices"), [("Image", ONE_CLASS), ("Audio", EVERY_CLASS)]
)
def test_a_project_that_asks_something_else_is_left_alone(
    fake: FakeStudio, site: Site, tag: str, choices: str
) -> None:
    fake.config = (
        f'<View><{tag} name="i" value="$sample"/><Choices name="label" toName="i">'
        f"{choices}</Choices></View>"
    )
    before = fake.config

    with pytest.raises(ConfigError, match="asks something else than this task"):
        site.studio.push(site.shelf())

    assert fake.config == before
    assert fake.uids() == []


def test_samples_too_large_for_one_page_are_paged_smaller(fake: FakeStudio) -> None:
    site = Site(fake, most=900)  # a page of eight tasks has some 1600 bytes

    with site.link:
        assert site.studio.push(site.shelf()).pushed == 8
        assert site.studio.push(site.shelf()).pushed == 0


def test_an_answer_that_stays_too_large_is_refused(fake: FakeStudio) -> None:
    site, narrow = Site(fake), Site(fake, most=120)
    with site.link, narrow.link:
        site.studio.push(site.shelf(), Which.WAITING)
        with pytest.raises(ReplyTooLargeError, match="more than 120 bytes"):
            narrow.studio.push(site.shelf())


def test_a_server_that_goes_silent_is_given_up() -> None:
    waited: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        address = StudioAddress(url=url, token=LEGACY)
        with StudioConnection(
            address, SystemClock(), waited.append, read_s=0.02
        ) as link:
            with pytest.raises(UnsureError, match="did not answer"):
                link.send("/x", {})
            with pytest.raises(UnavailableError, match="did not answer"):
                link.get("/x")


class _Hasty(FakeClock):
    """An hour passes each time somebody looks."""

    @override
    def now(self) -> Any:
        self.time += timedelta(hours=1)
        return self.time


def test_an_answer_that_trickles_is_given_up(fake: FakeStudio) -> None:
    address = StudioAddress(url=fake.url, token=LEGACY)
    with (
        StudioConnection(address, _Hasty(NOON), lambda _: None) as link,
        pytest.raises(UnavailableError, match="takes too long to answer"),
    ):
        link.get("/api/users/")


def test_the_token_is_nowhere_to_be_read(
    fake: FakeStudio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.legacy = True
    for token in (LEGACY, PERSONAL):
        site = Site(fake, token=token)
        with site.link:
            site.studio.push(site.shelf())
            fake.faults = [("/api/tasks/", StudioFault.BROKEN)]
            with pytest.raises(UnavailableError) as caught:
                site.studio.push(site.shelf())
        told = (
            f"{caplog.text} {caught.value} {StudioAddress(url=fake.url, token=token)!r}"
        )
        assert token not in told
        assert "access-1" not in told
    assert UIDS[0] not in caplog.text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://ls.site.org", "shows samples and token"),
        ("http://10.0.0.3:8080", "shows samples and token"),
        ("http://127.0.0.1.evil.org", "shows samples and token"),
        ("ftp://ls.site.org", "must begin with https"),
        ("ls.site.org", "must begin with https"),
        ("https://", "must begin with https"),
        ("https://ann:secret@ls.site.org", "has no user, query"),
        ("https://ls.site.org/?a=b", "has no user, query"),
        ("https://[::1", "is no address"),
    ],
)
def test_an_address_that_would_show_samples_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        StudioAddress(url=url, token=LEGACY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://ls.site.org/ls", "http://localhost:8080", "http://[::1]:8080"]
)
def test_https_and_this_machine_are_allowed(url: str) -> None:
    assert StudioAddress(url=url, token=LEGACY).url == url


def test_http_to_another_machine_can_be_allowed() -> None:
    assert StudioAddress(url="http://10.0.0.3:8080", token=LEGACY, plain=True).plain


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "ä", "t" * 5000])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="a token is 1 to 4096"):
        StudioAddress(url="https://ls.site.org", token=token)


def test_a_token_comes_from_a_file_of_its_owner_or_the_environment(
    tmp_path: Path,
) -> None:
    path = tmp_path / "token"
    path.write_text(f"{LEGACY}\n")
    path.chmod(stat.S_IRUSR)
    assert read_token(path) == LEGACY
    assert read_token(None, {TOKEN_VARIABLE: LEGACY}) == LEGACY

    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(path)
    with pytest.raises(ConfigError, match="cannot read the token"):
        read_token(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"set {TOKEN_VARIABLE}"):
        read_token(None, {})


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no")
    address = StudioAddress(url="https://ls.site.org", token=LEGACY, authority=path)

    with pytest.raises(ConfigError, match="cannot read the certificates"):
        StudioConnection(address, SystemClock())


def test_proxies_of_the_environment_are_not_used(
    fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    site = Site(fake)
    with site.link:
        assert site.studio.push(site.shelf()).pushed == 8


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        {"tasks": 3, "total": 1},
        {"tasks": [{}], "total": 1},
        {"tasks": [], "total": -1},
    ],
)
def test_a_page_that_is_none_is_refused(
    site: Site,
    told: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeStudio, "_page", lambda *_: told)

    with pytest.raises(ProtocolError, match="page of tasks is none"):
        site.studio.push(site.shelf())


def test_a_project_that_changes_while_it_is_read_is_read_again(
    fake: FakeStudio, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.studio.push(site.shelf())
    pages = FakeStudio._page
    shown: list[int] = []

    def changing(self: FakeStudio, query: Any) -> Any:  # noqa: ANN401
        """Leave out a task the first time, as a page does when one is deleted."""
        shown.append(1)
        told = pages(self, query)
        return {**told, "tasks": told["tasks"][len(shown) == 1 :]}

    monkeypatch.setattr(FakeStudio, "_page", changing)
    assert site.studio.push(site.shelf()).pushed == 0
    assert fake.uids() == UIDS


def test_a_project_that_never_stands_still_is_left_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"tasks": [], "total": 1}
    monkeypatch.setattr(FakeStudio, "_page", lambda *_: told)

    with pytest.raises(UnavailableError, match="changed while it was read"):
        site.studio.push(site.shelf())
