"""The labelling page in a real Chromium, as people use it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.client.chrome import Browser
from tests.support.client.permits import Nothing
from tests.support.client.person import KEPT, READY, UID, Person
from tests.support.client.site import NOON, Site
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.web.hints import (
    Gain,
    Gains,
    Guess,
    Guesses,
    Hints,
    StoreGains,
)
from fedask.client.labelling.web.logins import add_login
from fedask.client.records.annotation import Receipt
from fedask.client.records.milestone import Milestone
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

CLASSES = ("red", "green", "blue", "grey", "black")


class _Knows(Gains, Guesses):
    """Whoever started the page knows a gain, and what the model takes samples for."""

    @override
    def gain(self) -> Gain:
        return Gain(
            measure="accuracy", points=3.0, since=datetime(2026, 5, 1, 9, tzinfo=UTC)
        )

    @override
    def guess(self, uid: Uid) -> Guess:
        return Guess(label=2, local=True)


HINTS = Hints(gains=_Knows(), guesses=_Knows())
TEXTS = np.array([f"item {number}" for number in range(60)])


def test_fifty_items_are_labelled_by_keyboard_alone(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        said = {}
        for _ in range(50):
            nurse.ready()
            number = int(nurse.text().split()[1])
            said[nurse.answer(str(number % 5 + 1))] = number % 5
        nurse.kept()
        assert site.answers() == said
        assert list(said) == [str(uid) for uid in site.uids[:50]]  # dearest first
        nurse.tab.wait(
            "document.querySelector('#counts').innerText.includes('10 left')"
        )
        nurse.check()


def test_undo_brings_the_last_sample_back_for_another_answer(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        first = nurse.answer("1")
        second = nurse.answer("2")
        nurse.ready()
        nurse.tab.press("z")
        nurse.tab.wait(f"{UID} === '{second}'")
        nurse.ready()
        nurse.tab.press("z")
        nurse.tab.wait(f"{UID} === '{first}'")
        assert nurse.answer("3") == first
        assert nurse.answer("4") == second
        nurse.kept()
        assert site.answers() == {first: 2, second: 3}
        nurse.check()


def test_what_may_not_be_shown_any_more_leaves_the_screen_and_does_not_come_back(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        nurse.answer("1")
        nurse.kept()
        shown = nurse.ready()
        with closing(SqliteStore(site.path)) as store:
            store.rights.apply(Nothing(), NOON)

        nurse.tab.run("document.dispatchEvent(new Event('visibilitychange'))")

        nurse.tab.wait(f"{UID} !== '{shown}'")
        assert not nurse.tab.run("document.querySelector('.words')")
        nurse.tab.press("z")
        nurse.tab.wait("document.body.innerText.includes('Taken back')")
        assert not nurse.tab.run("document.querySelector('.words')")
        assert site.answers() == {}


def test_skip_and_unsure_are_kept_as_such(browser: Browser, tmp_path: Path) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        skipped, unsure = nurse.answer("s"), nurse.answer("u")
        nurse.kept()
        kinds = {v.uid: v.kind.value for v in site.annotations()}
        assert kinds == {skipped: "skip", unsure: "unsure"}
        nurse.check()


def test_two_people_at_once_never_get_the_same_sample(
    browser: Browser, tmp_path: Path
) -> None:
    logins = tmp_path / "logins.json"
    for name in ("anna", "ben"):
        add_login(logins, name, f"{name} likes tea")
    with Site(tmp_path, TEXTS[:24], CLASSES, logins=logins).running() as site:
        anna, ben = (Person(browser, site, enter=False) for _ in range(2))
        anna.sign_in("anna", "anna likes tea")
        ben.sign_in("ben", "ben likes tea")
        done: dict[str, list[str]] = {"anna": [], "ben": []}
        for _ in range(6):
            done["anna"].append(anna.answer("1"))
            done["ben"].append(ben.answer("2"))
        anna.kept()
        ben.kept()
        assert len({*done["anna"], *done["ben"]}) == 12
        for annotation in site.annotations():
            assert annotation.uid in done[annotation.annotator]
        anna.check()
        ben.check()


def test_answers_given_while_the_device_is_gone_arrive_when_it_is_back(
    browser: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, TEXTS, CLASSES)
    with site.running():
        nurse = Person(browser, site)
        before = nurse.answer("1")
        nurse.kept()
        nurse.ready()
        site.stop()
        during = [nurse.answer("2"), nurse.answer("3")]
        nurse.tab.wait("document.querySelector('#banner').innerText.includes('kept')")
        assert site.answers() == {before: 0}
        site.start()
        nurse.kept()
        nurse.tab.wait("document.querySelector('#banner').hidden")
        assert site.answers() == {before: 0, during[0]: 1, during[1]: 2}
        assert nurse.answer("4") not in {before, *during}
        nurse.kept()
        keys = [annotation.key for annotation in site.annotations()]
        assert len(set(keys)) == len(keys) == 4


class _FullDesk(Desk):
    """A desk on a disk whose room ends with the first answer."""

    db: sqlite3.Connection

    @override
    def submit(self, *args: Any, **kwargs: Any) -> Receipt:
        (pages,) = self.db.execute("PRAGMA page_count").fetchone()
        # SQLite then says what it says of a disk; what pages have free is still used.
        limit = min(pages, getattr(self, "limit", pages))
        self.limit = limit
        self.db.execute(f"PRAGMA max_page_count = {limit}")
        return super().submit(*args, **kwargs)


class _FullSite(Site):
    """A site whose disk has no room while ``is_full``; asked when the page starts."""

    is_full = True

    @override
    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with closing(SqliteStore(self.path)) as store:
            settings = DeskSettings(classes=len(self.settings.classes))
            kind = _FullDesk if self.is_full else Desk
            desk = kind(store.annotations, self.clock, settings)
            if isinstance(desk, _FullDesk):
                desk.db = store.connection.db
            yield desk


BANNER = "document.querySelector('#banner').innerText"


def test_a_full_disk_is_called_so_and_no_answer_is_lost(
    browser: Browser, tmp_path: Path
) -> None:
    site = _FullSite(tmp_path, TEXTS, CLASSES, ahead=20)
    with site.running():
        nurse = Person(browser, site)
        said = 0
        for _ in TEXTS:
            nurse.answer("2")
            said += 1
            sent = said
            while not nurse.tab.run(KEPT) and sent < said + 2:  # sent again, and again
                sent = sum(url.endswith("/api/answer") for url in nurse.tab.urls)
            if sent > said:
                break

        told = nurse.tab.run(BANNER)
        assert "disk of the device is full: it can keep no answers" in told
        assert "your answers are kept in this browser" in told
        assert "1 answer waits here." in told
        assert "does not answer" not in told
        assert len(site.answers()) == said - 1
    site.is_full = False
    with site.running():  # somebody has made room
        nurse.kept()
        nurse.tab.wait("document.querySelector('#banner').hidden")
        assert len(site.answers()) == said


def test_answers_outlive_a_reload_while_the_device_is_gone(
    browser: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, TEXTS, CLASSES)
    with site.running():
        nurse = Person(browser, site)
        nurse.ready()
        site.stop()
        uid = nurse.answer("5")
        nurse.tab.wait("document.body.dataset.waiting === '1'")
        nurse.tab.go("about:blank")
        nurse.tab.wait("location.href === 'about:blank'")
        assert site.answers() == {}
        site.start()  # with its sessions: nobody has to sign in again
        nurse.tab.go(site.address)
        nurse.ready()
        nurse.kept()
        assert site.answers() == {uid: 4}
        nurse.ready()
        nurse.tab.press("z")  # it can still be taken back
        nurse.tab.wait(f"{UID} === '{uid}'")
        assert site.answers() == {}


def test_one_answer_may_serve_look_alikes_and_is_taken_back_with_them(
    browser: Browser, tmp_path: Path
) -> None:
    near = [(0, 1), (0, 2), (0, 3)]
    with Site(tmp_path, TEXTS, CLASSES, near=near).running() as site:
        nurse = Person(browser, site)
        shown = nurse.ready()
        assert shown == site.uids[0]
        alike = "document.querySelector('#stage').dataset.offer === '3'"
        nurse.tab.press("2")
        nurse.tab.wait(alike)
        nurse.tab.press("1")  # no answer to what is not on the screen
        nurse.tab.click(".alike li:nth-child(2) label")
        out = sorted(site.uids[1:4])[1]
        nurse.tab.press("y")
        nurse.ready()
        nurse.kept()
        shared = {uid: 1 for uid in site.uids[:4] if uid != out}
        assert site.answers() == shared
        assert nurse.ready() == out
        nurse.tab.press("z")
        nurse.tab.wait(f"{UID} === '{shown}'")
        assert site.answers() == {}
        nurse.ready()
        nurse.tab.press("3")
        nurse.tab.wait(alike)
        nurse.tab.press("n")
        nurse.ready()
        nurse.kept()
        assert site.answers() == {shown: 2}
        nurse.check()


def test_a_class_among_many_is_found_by_its_name(
    browser: Browser, tmp_path: Path
) -> None:
    classes = [f"topic_{number}_of_cards" for number in range(1000)]
    classes[812] = "Überweisung_pending"
    with Site(tmp_path, TEXTS, classes).running() as site:
        nurse = Person(browser, site)
        first = nurse.ready()
        nurse.tab.press("/")
        nurse.tab.write("uberw")
        nurse.tab.press("Enter")
        nurse.tab.wait(f"{UID} !== '{first}'")
        second = nurse.ready()
        nurse.tab.press("/")
        nurse.tab.write("topic 99")  # 99, then 990 to 999, then those with 99 inside
        nurse.tab.press("ArrowDown")
        nurse.tab.press("Enter")
        nurse.tab.wait(f"{UID} !== '{second}'")
        third = nurse.answer("9")
        nurse.kept()
        assert site.answers() == {first: 812, second: 990, third: 8}
        nurse.check()


def test_only_one_tab_labels_and_another_can_take_over(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        second = browser.tab(nurse.context)
        second.go(site.address)
        second.wait("document.body.innerText.includes('Open in another tab')")
        first = nurse.answer("1")
        second.click(".note button")
        second.wait(READY)
        nurse.tab.wait("document.body.innerText.includes('Open in another tab')")
        nurse.tab.press("2")
        second.close()
        nurse.ready()  # by itself, once it is the only one
        nurse.kept()
        assert site.answers() == {first: 0}
        nurse.check()


def test_the_guess_of_the_model_is_hidden_until_somebody_asks(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES, hints=HINTS).running() as site:
        nurse = Person(browser, site)
        nurse.ready()
        assert nurse.tab.run("document.querySelectorAll('.guess').length") == 0
        assert [url for url in nurse.tab.urls if "guess" in url] == []
        nurse.tab.press("g")
        nurse.tab.wait("document.querySelector('.guess')?.dataset.label === '2'")
        told = nurse.tab.run("document.querySelector('.guess em').innerText")
        assert told.lower() == "local model\u2019s guess"
        said = nurse.tab.run("document.querySelector('#announcement').innerText")
        assert said == "The local model\u2019s guess: blue"
        nurse.answer("1")
        nurse.ready()
        assert nurse.tab.run("document.querySelectorAll('.guess').length") == 0
        chip = nurse.tab.run("document.querySelector('#gain').innerText")
        assert chip == "Accuracy +3 points since May 1"
        nurse.check()


def test_a_gain_in_the_store_is_told_and_the_next_one_after_an_answer(
    browser: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, TEXTS, CLASSES)
    monday = NOON - timedelta(days=7)
    told = [(monday, 0.80, 0), (NOON - timedelta(hours=1), 0.83, 9)]
    with closing(SqliteStore(site.path)) as store:
        for cycle, (at, accuracy, trained) in enumerate(told, start=1):
            store.milestones.put(
                Milestone(cycle=cycle, accuracy=accuracy, at=at, trained=trained)
            )
        site.hints = Hints(
            gains=StoreGains(lambda: closing(SqliteStore(site.path)), site.clock)
        )
        with site.running():
            nurse = Person(browser, site)
            nurse.ready()
            nurse.tab.wait("!document.querySelector('#gain').hidden")
            chip = "document.querySelector('#gain').innerText"
            assert nurse.tab.run(chip) == "Accuracy +3 points since April 27"
            # A round takes place while somebody labels.
            store.milestones.put(Milestone(cycle=3, accuracy=0.79, at=NOON, trained=12))
            nurse.answer("1")
            nurse.tab.wait("document.querySelector('#gain').hidden")
            nurse.check()


def test_since_when_the_model_is_better_is_told_by_the_calendar(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES, hints=HINTS).running() as site:
        nurse = Person(browser, site)
        nurse.tab.wait("!document.querySelector('#gain').hidden")
        said = {}
        for since, now in (
            ("2026-11-30T00:10", "2026-11-30T23:50"),
            ("2026-11-29T23:50", "2026-11-30T00:10"),
            ("2026-11-24T23:50", "2026-11-30T00:10"),
            ("2026-11-23T23:50", "2026-11-30T00:10"),
            ("2026-12-03T12:00", "2026-11-30T12:00"),  # its clock is ahead
        ):
            said[since] = nurse.tab.run(
                "import('/static/progress.js').then(({ gained }) => gained("
                f"{{points: 27.5, since: '{since}'}}, "
                f"new Date('{now}'), 'long'))"
            )
        assert list(said.values()) == [
            "+27.5 points today",
            "+27.5 points since Sunday",
            "+27.5 points since Tuesday",
            "+27.5 points since November 23",
            "+27.5 points today",
        ]
        nurse.check()


def test_nothing_that_a_sample_or_a_class_holds_is_run(
    browser: Browser, tmp_path: Path
) -> None:
    bad = "<img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}"
    rules = tmp_path / "rules.md"
    rules.write_text(f"# {bad}\n- **{bad}**\n")
    samples = np.array([f"{bad} {number}" for number in range(5)])
    site = Site(tmp_path, samples, [bad, "b"], guidelines=rules, title=bad)
    with site.running():
        nurse = Person(browser, site)
        nurse.ready()
        assert nurse.text() == f"{bad} 0"
        nurse.tab.press("i")
        nurse.tab.wait("document.querySelector('#guidelines').open")
        assert bad in nurse.tab.run("document.querySelector('#guidelines').innerText")
        assert (
            nurse.tab.run(
                "document.querySelectorAll('img, script:not([src], #words)').length"
            )
            == 0
        )
        assert nurse.tab.run("document.title") == bad
        nurse.check()


def test_a_key_that_is_held_down_answers_once(browser: Browser, tmp_path: Path) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        first = nurse.ready()
        event = {"key": "1", "windowsVirtualKeyCode": 49, "text": "1"}
        nurse.tab.call("Input.dispatchKeyEvent", type="keyDown", **event)
        nurse.tab.wait(f"{UID} !== '{first}'")
        second = nurse.ready()
        for _ in range(3):
            nurse.tab.call(
                "Input.dispatchKeyEvent", type="keyDown", autoRepeat=True, **event
            )
        nurse.kept()
        assert site.answers() == {first: 0}
        assert nurse.tab.run(UID) == second


def test_single_key_shortcuts_can_be_switched_off(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, TEXTS, CLASSES).running() as site:
        nurse = Person(browser, site)
        uid = nurse.ready()
        nurse.tab.press("?")
        nurse.tab.click("#keys-on")
        nurse.tab.press("Escape")
        nurse.tab.wait("!document.querySelector('dialog[open]')")
        nurse.tab.press("1")
        assert nurse.tab.run(UID) == uid
        nurse.tab.click("#classes button")  # a button still answers
        nurse.tab.wait(f"{UID} !== '{uid}'")
        nurse.kept()
        assert site.answers() == {uid: 0}
