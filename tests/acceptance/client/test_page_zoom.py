"""People look closer on the page: by click, key and pinch, on phone and desktop."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.client.chrome import Browser, Tab
from tests.support.client.originals import RATE_HZ, photo, put, stereo
from tests.support.client.person import Person
from tests.support.client.site import Site

from fedask.client.data.sources.images import ImageReader
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import IndexedSource, ScanContext
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.sounds import SoundReader

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
IMAGE = "document.querySelector('.picture img')"
SCALE = f"Number({IMAGE}.style.transform.match(/scale\\(([0-9.]+)/)[1])"
FULL = "document.querySelector('.picture').dataset.full === 'yes'"
CLIPPED = """[...document.querySelectorAll('button')].filter((e) => e.checkVisibility())
  .filter((e) => e.offsetLeft < 0 || e.getBoundingClientRect().right > innerWidth)
  .map((e) => e.outerHTML)"""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def site_of(folder: Path, reader: FormatReader, **settings: Any) -> Site:  # noqa: ANN401
    look = ScanContext(index=Index(), now=NOON)
    source = IndexedSource(folder / "data", reader, look)
    return Site(folder, source, ("cat", "dog"), **settings)


def fulls(tab: Tab) -> int:
    """Return how often something was fetched in full."""
    return sum(url.endswith("/full") for url in tab.urls)


def pinch(tab: Tab, x: float, y: float) -> None:
    def fingers(apart: float) -> list[dict[str, float]]:
        return [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]

    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=fingers(20))
    for apart in (30, 45, 60, 80):
        points = fingers(apart)
        tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


@pytest.mark.parametrize("how", ["click", "key", "pinch"])
def test_a_photo_keeps_its_shape_and_comes_in_full_when_somebody_looks_closer(
    browser: Browser, tmp_path: Path, how: str
) -> None:
    for number in range(2):
        put(tmp_path / "data", f"{number}.jpg", photo(2400 + number, 1800))
    site = site_of(tmp_path, ImageReader(width=32, height=32, mode="rgb"))
    with site.running():
        nurse = Person(browser, site, enter=False)
        tab = nurse.tab
        tab.screen(*((390, 844) if how == "pinch" else (1280, 800)))
        tab.go(site.link)
        nurse.ready()
        shape = f"{IMAGE}.naturalWidth / {IMAGE}.naturalHeight"
        assert tab.run(f"{IMAGE}.naturalWidth") == 1600
        assert tab.run(shape) == pytest.approx(4 / 3, rel=0.01)
        assert fulls(tab) == 0
        if how == "key":
            tab.press("f")
        elif how == "click":
            tab.click(".picture img")
        else:
            pinch(tab, 195, 200)
        tab.wait(FULL)
        assert tab.run(f"{IMAGE}.naturalWidth") in {2400, 2401}
        assert tab.run(SCALE) > 1.5
        assert tab.run(WIDE) == 0
        if how == "key":
            tab.press("f")
            tab.wait(f"{SCALE} === 1")
        assert fulls(tab) == 1  # once
        nurse.answer("1")
        nurse.kept()
        assert tab.run(f"{IMAGE}.naturalWidth") == 1600
        nurse.check()


def test_a_drag_and_the_second_of_a_double_click_are_no_clicks(
    browser: Browser, tmp_path: Path
) -> None:
    put(tmp_path / "data", "0.jpg", photo(800, 600))
    put(tmp_path / "data", "1.jpg", photo(808, 600))
    site = site_of(tmp_path, ImageReader(width=32, height=32, mode="rgb"))
    with site.running():
        nurse = Person(browser, site)
        nurse.ready()
        tab = nurse.tab

        def mouse(kind: str, x: int, y: int, count: int = 1) -> None:
            at = {"x": x, "y": y, "button": "left", "clickCount": count}
            tab.call("Input.dispatchMouseEvent", type=kind, buttons=1, **at)

        for count in (1, 2):
            mouse("mousePressed", 300, 300, count)
            mouse("mouseReleased", 300, 300, count)
        tab.wait(f"{SCALE} > 1")
        before = tab.run(f"{IMAGE}.style.transform")
        mouse("mousePressed", 300, 300)
        mouse("mouseMoved", 360, 340)
        mouse("mouseReleased", 360, 340)
        tab.wait(f"{IMAGE}.style.transform !== {before!r}")
        assert tab.run(SCALE) > 1
        assert fulls(tab) == 0  # there is no more of it
        nurse.check()


def test_a_long_sound_says_what_the_model_hears_and_comes_in_full(
    browser: Browser, tmp_path: Path
) -> None:
    put(tmp_path / "data", "0.wav", stereo(50.0))
    put(tmp_path / "data", "1.wav", stereo(49.0))
    with site_of(tmp_path, SoundReader(frames=RATE_HZ)).running() as site:
        nurse = Person(browser, site)
        nurse.ready()
        tab = nurse.tab
        time = "document.querySelector('.player time').textContent"
        said = tab.run("document.querySelector('.remark').innerText")
        assert said == "The model hears the first 1.0 seconds."
        assert float(tab.run(time).split()[2]) < 48  # 4 MiB of it
        tab.screen(390, 844)
        assert tab.run(CLIPPED) == []
        tab.click(".player .second")
        tab.wait(f"{time}.endsWith('/ 50.0 s') || {time}.endsWith('/ 49.0 s')")
        assert fulls(tab) == 1
        tab.press("p")
        tab.wait("document.querySelector('.sound').dataset.playing === 'true'")
        nurse.check()
