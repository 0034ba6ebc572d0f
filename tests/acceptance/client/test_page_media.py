"""Every medium on the labelling page in a real Chromium: shown, heard, zoomed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.chrome import Browser
from tests.support.client.person import READY, Person
from tests.support.client.site import Site

from fedask.client.data.rendering.showcase import Show
from fedask.client.records.exhibit import Medium
from fedask.client.records.original import ONLY

CLASSES = ("one", "two")
LINES = np.arange(4)


def images() -> NDArray[np.uint8]:
    return (np.arange(4 * 6 * 8 * 3) % 251).astype(np.uint8).reshape(4, 6, 8, 3)


def sounds() -> NDArray[np.float32]:
    time = np.arange(4000) / 8000
    return np.stack([np.sin(time * 300 * (n + 1)) * time for n in range(4)]).astype(
        np.float32
    )


def windows() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(4, 50, 3)).astype(np.float32)


def joined() -> NDArray[Any]:
    fields = [
        ("scan", np.uint8, (5, 5)),
        ("note", "<U40"),
        ("pulse", np.float32, (40, 1)),
    ]
    samples = np.zeros(4, dtype=fields)
    samples["scan"] = np.arange(100).reshape(4, 5, 5)
    samples["note"] = [f"note {n}" for n in LINES]
    samples["pulse"] = np.arange(160).reshape(4, 40, 1)
    return samples


def person(browser: Browser, site: Site) -> Person:
    somebody = Person(browser, site)
    somebody.ready()
    return somebody


def test_an_image_is_shown_in_full_and_can_be_zoomed(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, images(), CLASSES).running() as site:
        nurse = person(browser, site)
        image = "document.querySelector('.picture img')"
        assert nurse.tab.run(f"[{image}.naturalWidth, {image}.naturalHeight]") == [8, 6]
        assert "pixels" in nurse.tab.run(f"{image}.alt")
        pixel = nurse.tab.run(
            "(() => { const c = document.createElement('canvas'); c.width = 8;"
            f" c.height = 6; const x = c.getContext('2d'); x.drawImage({image}, 0, 0);"
            " return Array.from(x.getImageData(3, 2, 1, 1).data) })()"
        )
        assert pixel == [*images()[0, 2, 3].tolist(), 255]
        nurse.tab.press("+")
        nurse.tab.wait(f"{image}.style.transform.includes('scale(1.5)')")
        nurse.tab.press("-")
        nurse.tab.wait(f"{image}.style.transform.includes('scale(1)')")
        nurse.answer("1")
        nurse.kept()
        nurse.check()


def test_a_sound_is_drawn_and_played_by_key(browser: Browser, tmp_path: Path) -> None:
    shows = {ONLY: Show(medium=Medium.AUDIO, rate_hz=8000)}
    with Site(tmp_path, sounds(), CLASSES, shows).running() as site:
        nurse = person(browser, site)
        assert (
            len(nurse.tab.run("document.querySelector('.wave path').getAttribute('d')"))
            > 999
        )
        assert "0.5 s" in nurse.tab.run(
            "document.querySelector('.player time').textContent"
        )
        nurse.tab.press("p")
        nurse.tab.wait("document.querySelector('.sound').dataset.playing === 'true'")
        nurse.tab.wait(  # it ends by itself, having been heard to its end
            "document.querySelector('.sound').dataset.playing === 'false' &&"
            " document.querySelector('.player time').textContent.startsWith('0.5 /')"
        )
        nurse.answer("2")
        nurse.kept()
        nurse.check()


def test_readings_are_plotted_channel_by_channel(
    browser: Browser, tmp_path: Path
) -> None:
    shows = {ONLY: Show(names=("acc_x", "acc_y", "acc_z"))}
    with Site(tmp_path, windows(), CLASSES, shows).running() as site:
        nurse = person(browser, site)
        names = "[...document.querySelectorAll('.name')].map((e) => e.firstChild.data)"
        assert nurse.tab.run(names) == ["acc x", "acc y", "acc z"]
        line = "document.querySelector('.channel path').getAttribute('d')"
        assert nurse.tab.run(f"{line}.split('L').length") == 50
        nurse.answer("1")
        nurse.kept()
        nurse.check()


def test_all_fields_of_a_joined_sample_are_shown(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, joined(), CLASSES).running() as site:
        nurse = person(browser, site)
        captions = (
            "[...document.querySelectorAll('figcaption')].map((e) => e.textContent)"
        )
        assert nurse.tab.run(captions) == ["scan", "note", "pulse"]
        assert nurse.text() == "note 0"
        assert (
            nurse.tab.run("document.querySelectorAll('.picture, .series').length") == 2
        )
        nurse.answer("1")
        nurse.kept()
        nurse.check()


def test_a_sample_that_cannot_be_shown_can_be_skipped(
    browser: Browser, tmp_path: Path
) -> None:
    shows = {ONLY: Show(medium=Medium.IMAGE)}  # which a flat vector is not
    site = Site(tmp_path, np.arange(40.0).reshape(4, 10), CLASSES, shows)
    with site.running():
        nurse = Person(browser, site, enter=False)
        nurse.tab.go(site.link)
        nurse.tab.wait("document.body.innerText.includes('cannot be shown')")
        nurse.tab.click(".note .second")
        nurse.kept()
        assert list(site.answers()) == site.uids[:1]


# Contrast of text with whatever is behind it, as WCAG 2.2 computes it.
CONTRAST = """(() => {
  const rgb = (text) => (text.match(/[0-9.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    if (e.closest('.heard, :disabled, .toast, .jump')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort();
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(e.outerHTML);
  }
  return poor;
})()"""
SMALL = """[...document.querySelectorAll('button')].filter((e) => e.checkVisibility())
  .filter((e) => Math.min(e.offsetWidth, e.offsetHeight) < 44)
  .map((e) => e.outerHTML)"""
NAMELESS = """[...document.querySelectorAll('button, input, dialog')]
  .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
  .map((e) => e.outerHTML)"""
SCREENS = tuple(
    (*size, s) for size in ((390, 844), (1280, 800)) for s in ("light", "dark")
)
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("make", [sounds, joined])
def test_the_page_is_legible_and_touchable_on_phone_and_desktop(
    browser: Browser, tmp_path: Path, make: Callable[[], NDArray[Any]]
) -> None:
    shows = {ONLY: Show(medium=Medium.AUDIO)} if make is sounds else None
    with Site(tmp_path, make(), CLASSES, shows).running() as site:
        nurse = person(browser, site)
        for width, height, scheme in SCREENS:
            nurse.tab.screen(width, height, scheme)
            nurse.tab.run(
                "Promise.all(document.getAnimations().map((a) => a.finished))"
            )
            for dialog in ("", "c", "?"):
                if dialog:
                    nurse.tab.press(dialog)
                    nurse.tab.wait("!!document.querySelector('dialog[open]')")
                assert nurse.tab.run(CONTRAST) == []
                assert nurse.tab.run(NAMELESS) == []
                if dialog:
                    nurse.tab.run("document.querySelector('dialog[open]').close()")
            assert nurse.tab.run(SMALL) == []
            assert nurse.tab.run(WIDE) == 0
            assert nurse.tab.run(READY)
        nurse.check()
