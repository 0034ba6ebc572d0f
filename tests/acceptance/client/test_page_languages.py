"""The page in other languages than English, in a real Chromium, on a phone too."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.chrome import Browser, Tab
from tests.support.client.page_words import write_pseudo
from tests.support.client.person import UID, Person
from tests.support.client.site import Site
from typing_extensions import override

from fedask.client.labelling.web.hints import Gain, Gains, Guess, Guesses, Hints
from fedask.client.labelling.web.logins import add_login
from fedask.common.ids import Uid

CLASSES = ("pneumothorax_with_tension", "cardiomegaly", "no_finding", "Überweisung")
PICTURES = np.random.default_rng(0).integers(0, 255, (6, 12, 12), dtype=np.uint8)
PHONE, DESK = (390, 844), (1280, 800)
# What people see or hear that is in no brackets; names of classes stand in <bdi>.
UNTRANSLATED = """(() => {
  const found = [];
  const said = (text) => {
    if (/\\p{L}/u.test(text) && !/^\\s*⟦[^]*⟧\\s*$/.test(text)) found.push(text);
  };
  const page = document.documentElement;
  const texts = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (element.closest("bdi, script, style, noscript, kbd")) continue;
    said(texts.currentNode.textContent);
  }
  for (const name of ["aria-label", "title", "placeholder", "alt"]) {
    const all = document.querySelectorAll(`[${name}]`);
    for (const each of all) said(each.getAttribute(name));
  }
  return found;
})()"""
TOO_WIDE = """[...document.querySelectorAll("html, button, dd, dt, p")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 1)
  .filter((each) => each.checkVisibility())
  .map((each) => each.outerHTML.slice(0, 200))"""
LINES = """(() => {
  const name = document.querySelector(".guess bdi");
  const line = parseFloat(getComputedStyle(name).lineHeight);
  return Math.round(name.getBoundingClientRect().height / line);
})()"""
NAMES = "[...document.querySelectorAll('#classes bdi')].map((e) => e.innerText)"
KEYS = """[...document.querySelectorAll("kbd, .keys, .switch, .touch")]
  .filter((each) => each.checkVisibility())
  .map((each) => each.className || each.localName)"""


class _Knows(Gains, Guesses):
    @override
    def gain(self) -> Gain:
        since = datetime.now(UTC) - timedelta(days=2)
        return Gain(measure="accuracy", points=27.5, since=since)

    @override
    def guess(self, uid: Uid) -> Guess:
        return Guess(label=0, local=True)


def site_of(folder: Path, **settings: Any) -> Site:  # noqa: ANN401  (of PageSettings)
    knows = _Knows()
    hints = Hints(gains=knows, guesses=knows)
    near = [(0, 1), (0, 2)]
    return Site(folder, PICTURES, CLASSES, near=near, hints=hints, **settings)


def touch(tab: Tab, size: tuple[int, int]) -> None:
    """Be a phone without a mouse."""
    tab.screen(*size)
    media = {"any-hover": "none", "any-pointer": "coarse"}
    features = [{"name": name, "value": value} for name, value in media.items()]
    tab.call("Emulation.setEmulatedMedia", features=features)


def guessed(tab: Tab) -> None:
    tab.run("document.querySelector('#guess').click()")
    tab.wait("Boolean(document.querySelector('.guess'))")
    tab.wait("!document.querySelector('#gain').hidden")


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_all_that_people_read_comes_from_the_catalogue_also_leftwards(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    words = write_pseudo(tmp_path / "words")
    with site_of(tmp_path, words=words, language="ar").running() as site:
        nurse = Person(browser, site, enter=False)
        tab = nurse.tab
        touch(tab, size)
        tab.go(site.link)
        nurse.ready()
        assert tab.run("document.documentElement.dir") == "rtl"
        guessed(tab)
        tab.run("document.querySelector('#open-progress').click()")
        tab.wait("document.querySelector('#figures').children.length > 0")
        assert tab.run(UNTRANSLATED) == []
        assert tab.run(TOO_WIDE) == []
        tab.run("document.querySelector('#progress').close()")
        tab.run("document.querySelector('#classes button').click()")
        tab.wait("Boolean(document.querySelector('.offer'))")
        assert tab.run(UNTRANSLATED) == []
        assert tab.run(TOO_WIDE) == []
        site.stop()
        tab.run("document.querySelector('.offer .primary').click()")
        tab.wait("!document.querySelector('#banner').hidden")
        assert tab.run(UNTRANSLATED) == []


def test_who_signs_in_reads_their_own_language(
    browser: Browser, tmp_path: Path
) -> None:
    logins = tmp_path / "logins.json"
    add_login(logins, "ann", "a long pass word")
    words = write_pseudo(tmp_path / "words")
    with site_of(tmp_path, words=words, logins=logins).running() as site:
        nurse = Person(browser, site, enter=False)
        tab = nurse.tab
        tab.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": "ar-EG"})
        tab.go(site.address)
        tab.wait("document.activeElement?.id === 'name'")
        assert tab.run(UNTRANSLATED) == []
        tab.run("document.querySelector('#name').value = 'ann'")
        tab.run("document.querySelector('#password').value = 'wrong'")
        tab.run("document.querySelector('form').submit()")
        tab.wait("Boolean(document.querySelector('.problem'))")
        assert tab.run(UNTRANSLATED) == []


@pytest.mark.parametrize(
    ("wish", "skip", "chip", "guess"),
    [
        (
            "de-AT",
            "Überspringen",
            "+27,5 Punkte seit ",
            "Vorschlag des lokalen Modells",
        ),
        ("es", "Omitir", "+27,5 puntos desde el ", "sugerencia del modelo local"),
        ("fr", "Skip", "+27.5 points since ", "local model\u2019s guess"),
    ],
)
def test_a_phone_shows_a_guess_and_the_name_beside_it_in_full(
    browser: Browser, tmp_path: Path, wish: str, skip: str, chip: str, guess: str
) -> None:
    with site_of(tmp_path).running() as site:
        nurse = Person(browser, site, enter=False)
        tab = nurse.tab
        touch(tab, PHONE)
        tab.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": wish})
        tab.go(site.link)
        nurse.ready()
        guessed(tab)

        assert tab.run("document.querySelector('#skip').innerText") == skip
        assert chip in tab.run("document.querySelector('#gain').innerText")
        said = "document.querySelector('.guess em').innerText"
        assert tab.run(said) == guess
        names = tab.run(NAMES)
        assert names == [name.replace("_", " ") for name in CLASSES]
        assert tab.run(LINES) <= 2
        assert tab.run(TOO_WIDE) == []


def test_keys_are_told_of_where_there_is_a_keyboard_and_from_the_first_key_on(
    browser: Browser, tmp_path: Path
) -> None:
    with site_of(tmp_path).running() as site:
        nurse = Person(browser, site, enter=False)
        tab = nurse.tab
        touch(tab, PHONE)
        tab.go(site.link)
        first = nurse.ready()
        tab.run("document.querySelector('#open-help').click()")
        assert tab.run(KEYS) == ["touch"]
        tab.run("document.querySelector('#help').close()")
        tab.run("document.querySelector('#help').blur()")

        tab.press("s")

        tab.wait(f"{UID} !== '{first}'")
        assert "kbd" in tab.run(KEYS)
        tab.run("document.querySelector('#open-help').click()")
        assert {"keys", "switch"} <= set(tab.run(KEYS))
        assert "touch" not in tab.run(KEYS)
        tab.reload()
        nurse.ready()
        assert "kbd" in tab.run(KEYS)
